"""Where running meetings are, in Redis: the copy that joins are answered from. The truth is table meetings."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis

#: Seconds. The poller copies what runs longer again, well before.
LIFE = 6 * 3600
#: Seconds for which a new meeting's birth is kept: many polls' worth, should nobody poll for a while.
_BIRTH_LIFE = 600
#: Copies that are sent to Redis in one go: few enough for its time limit, and for whoever waits behind them.
_AT_ONCE = 300

# Copies are written after their transaction, in any order: a later row of the same meetingID has a higher number.
# KEYS: placement; with a birth, also its. ARGV: row, value, life; with a birth, also that and its life.
_NOTE = """
local row = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) ')
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5]) end
if row and tonumber(row) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_FORGET = """
local row = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) ')
if row and tonumber(row) <= tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Place(NamedTuple):
    """Where a running meeting is."""

    row: int  #: of table meetings
    node_id: int
    internal_meeting_id: str


class Running(NamedTuple):
    """A running meeting, by what it is found, and its place."""

    tenant_id: int
    meeting_id: str
    place: Place

    @classmethod
    def read(cls, tenant_id: int, meeting_id: str, *place: Any) -> Self:
        """From a row of PostgreSQL."""
        return cls(tenant_id, meeting_id, Place(*place))


class Whereabouts:
    """Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._note = client.register_script(_NOTE)
        self._forget = client.register_script(_FORGET)

    def check(self) -> None:
        with self._client.guarded():
            self._client.ping()

    def find(self, tenant_id: int, meeting_id: str) -> Place | None:
        """None where nothing is known: PostgreSQL may know better."""
        with self._client.guarded():
            return _read(cast(str | None, self._client.get(keys.placement(tenant_id, meeting_id))))

    def find_all(self, tenant_id: int, meeting_ids: Sequence[str]) -> list[Place | None]:
        """As ``find``, for many at once."""
        if not meeting_ids:
            return []
        with self._client.guarded():
            found = cast(list[str | None], self._client.mget([keys.placement(tenant_id, each) for each in meeting_ids]))
        return [_read(text) for text in found]

    def note(self, tenant_id: int, meeting_id: str, place: Place, birth: str = "") -> None:
        """The meeting runs there. Changes nothing where a later row is known.

        birth: core.listing's, of a new meeting.
        """
        names = [keys.placement(tenant_id, meeting_id)]
        values = _noted(place)
        if birth:
            names.append(keys.birth(tenant_id, place.internal_meeting_id))
            values += [birth, _BIRTH_LIFE]
        with self._client.guarded():
            self._note(keys=names, args=values)

    def note_all(self, meetings: Sequence[Running]) -> None:
        """As ``note``, for many at once."""
        for first in range(0, len(meetings), _AT_ONCE):
            with self._client.guarded(), self._client.pipeline(transaction=False) as pipeline:
                for tenant_id, meeting_id, place in meetings[first : first + _AT_ONCE]:
                    self._note(keys=[keys.placement(tenant_id, meeting_id)], args=_noted(place), client=pipeline)
                pipeline.execute()

    def births(self, tenant_id: int, internal_meeting_ids: Sequence[str]) -> dict[str, str]:
        """Those of a tenant's new meetings, as far as they are known, by internalMeetingID."""
        if not internal_meeting_ids:
            return {}
        with self._client.guarded():
            names = [keys.birth(tenant_id, each) for each in internal_meeting_ids]
            found = cast(list[str | None], self._client.mget(names))
        return {name: text for name, text in zip(internal_meeting_ids, found, strict=True) if text is not None}

    def forget(self, tenant_id: int, meeting_id: str, row: int) -> None:
        """The row ended, or was lost. Changes nothing where a later row is known."""
        with self._client.guarded():
            self._forget(keys=[keys.placement(tenant_id, meeting_id)], args=[row])


def _noted(place: Place) -> list[str | int]:
    return [place.row, f"{place.row} {place.node_id} {place.internal_meeting_id}", LIFE]


def _read(text: str | None) -> Place | None:
    if text is None:
        return None
    row, node, internal = text.split(" ", 2)
    return Place(int(row), int(node), internal)
