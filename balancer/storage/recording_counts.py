"""How many recordings a filter has: counted once, and kept until anything changes in the tenant's recordings."""

import threading
from collections import OrderedDict
from dataclasses import replace
from hashlib import sha256

from balancer.core.recordings import Query

#: Filters whose counts a process keeps: below 100 kB.
_MANY = 500


class RecordingCounts:
    """The counts that one process keeps, by filter, the one used last at the end. Threads share them."""

    def __init__(self, many: int = _MANY) -> None:
        self._many = many
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[str, int]] = OrderedDict()

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
            self._kept[key] = (version, count)
            self._kept.move_to_end(key)
            while len(self._kept) > self._many:
                self._kept.popitem(last=False)


def _key(tenant_id: int, query: Query) -> bytes:
    """A digest, since a query may be as long as a request."""
    return sha256(repr((tenant_id, replace(query, offset=0, limit=None))).encode()).digest()
