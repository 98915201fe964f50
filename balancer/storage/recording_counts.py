"""How many recordings match filters that many match: counted once, and kept until the tenant's recordings change."""

import threading
from collections import OrderedDict
from dataclasses import replace
from hashlib import sha256

from balancer.core.recordings import Query

#: Filters whose counts a process keeps: below 100 kB.
_FILTERS = 500
#: Fewer are counted again in less time than the promise for a page.
_LEAST = 10_000


class RecordingCounts:
    """The counts that one process keeps, by filter, the one used last at the end. Threads share them."""

    def __init__(self, filters: int = _FILTERS, least: int = _LEAST) -> None:
        """least: what is worth being kept."""
        self._filters = filters
        self._least = least
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[str, int]] = OrderedDict()

    def knows(self, tenant_id: int, query: Query) -> bool:
        """Whether many matched this query's filter when it was counted last, whatever happened since."""
        with self._lock:
            return _key(tenant_id, query) in self._kept

    def get(self, tenant_id: int, query: Query, version: str) -> int | None:
        """The count of all pages of this query, where one is kept and the tenant's ledger has still that version."""
        key = _key(tenant_id, query)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != version:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def keep(self, tenant_id: int, query: Query, version: str, count: int) -> None:
        key = _key(tenant_id, query)
        with self._lock:
            if count < self._least:
                self._kept.pop(key, None)
                return
            self._kept[key] = (version, count)
            self._kept.move_to_end(key)
            while len(self._kept) > self._filters:
                self._kept.popitem(last=False)


def _key(tenant_id: int, query: Query) -> bytes:
    """A digest, since a query may be as long as a request."""
    return sha256(repr((tenant_id, replace(query, offset=0, limit=None))).encode()).digest()
