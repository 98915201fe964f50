"""Where running meetings are, in Redis: the copy that joins are answered from. The truth is table meetings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from balancer.storage import keys
from balancer.storage.cache import Redis, unavailable_as_ours

#: Seconds. A meeting that runs longer is copied again by the next request that misses it.
_LIFE = 86_400
_NOWHERE = "-"

# Copies are written after their transaction, in any order: a row's successor has a higher number, and of one row the
# end is the last word. KEYS: placement. ARGV: row, value, life.
_WRITE = """
local row, node = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+)')
if row and (tonumber(row) > tonumber(ARGV[1]) or (tonumber(row) == tonumber(ARGV[1]) and node == '-')) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


@dataclass(frozen=True)
class Place:
    """Where a running meeting is."""

    row: int  #: of table meetings
    node_id: int
    internal_meeting_id: str


class Placements:
    """Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._write = client.register_script(_WRITE)

    def check(self) -> None:
        with unavailable_as_ours():
            self._client.ping()

    def find(self, tenant_id: int, meeting_id: str) -> Place | None:
        """None where nothing is known, or the meeting is known to have ended: PostgreSQL may know better."""
        return self.find_all(tenant_id, [meeting_id])[0]

    def find_all(self, tenant_id: int, meeting_ids: Sequence[str]) -> list[Place | None]:
        """As ``find``, for many at once."""
        if not meeting_ids:
            return []
        with unavailable_as_ours():
            found = cast(list[str | None], self._client.mget([keys.placement(tenant_id, each) for each in meeting_ids]))
        return [_read(text) for text in found]

    def note(self, tenant_id: int, meeting_id: str, place: Place) -> None:
        """The meeting runs there. Changes nothing where a later row, or this row's end, is known."""
        self._put(tenant_id, meeting_id, place.row, f"{place.row} {place.node_id} {place.internal_meeting_id}")

    def forget(self, tenant_id: int, meeting_id: str, row: int) -> None:
        """The row ended, or was lost. Changes nothing where a later row is known."""
        self._put(tenant_id, meeting_id, row, f"{row} {_NOWHERE} {_NOWHERE}")

    def _put(self, tenant_id: int, meeting_id: str, row: int, value: str) -> None:
        with unavailable_as_ours():
            self._write(keys=[keys.placement(tenant_id, meeting_id)], args=[row, value, _LIFE])


def _read(text: str | None) -> Place | None:
    row, node, internal = (text or f"0 {_NOWHERE} {_NOWHERE}").split(" ", 2)
    return None if node == _NOWHERE else Place(int(row), int(node), internal)
