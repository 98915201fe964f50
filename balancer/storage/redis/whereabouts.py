"""Where running meetings are, in Redis: the copy that joins are answered from. Table meetings decides."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis

#: Seconds that a location is kept. The poller renews those of longer meetings well before.
LIFE = 6 * 3600
#: Seconds that an initial listing is kept: many polls' time, in case no poller runs for a while.
_LISTING_LIFE = 600
#: Locations sent to Redis at once: few enough for its time limit, and for the commands that wait behind them.
_BATCH = 300

# Locations are written after their transactions, in any order. The later row of a meetingID has the higher number.
# KEYS: location; with an initial listing, also its key. ARGV: row, value, life; with a listing, also that and its life.
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


class Location(NamedTuple):
    """Where a running meeting is."""

    row: int  #: of table meetings
    node_id: int
    internal_meeting_id: str


class LocatedMeeting(NamedTuple):
    """A running meeting and its location."""

    tenant_id: int
    meeting_id: str
    location: Location

    @classmethod
    def read(cls, tenant_id: int, meeting_id: str, *location: Any) -> Self:
        """From a row of PostgreSQL."""
        return cls(tenant_id, meeting_id, Location(*location))


class Whereabouts:
    """Every method raises StorageUnavailableError if Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._note = client.register_script(_NOTE)
        self._forget = client.register_script(_FORGET)

    def check(self) -> None:
        with self._client.guarded():
            self._client.ping()

    def find(self, tenant_id: int, meeting_id: str) -> Location | None:
        """None if Redis does not know; PostgreSQL may."""
        with self._client.guarded():
            return _read(cast(str | None, self._client.get(keys.location(tenant_id, meeting_id))))

    def find_all(self, tenant_id: int, meeting_ids: Sequence[str]) -> list[Location | None]:
        """As ``find``, for many at once."""
        if not meeting_ids:
            return []
        with self._client.guarded():
            found = cast(list[str | None], self._client.mget([keys.location(tenant_id, each) for each in meeting_ids]))
        return [_read(text) for text in found]

    def note(self, tenant_id: int, meeting_id: str, location: Location, initial_listing: str = "") -> None:
        """Record where the meeting runs, unless a later row is recorded.

        initial_listing: core.meeting_list's, if the meeting is new.
        """
        names = [keys.location(tenant_id, meeting_id)]
        values = _arguments(location)
        if initial_listing:
            names.append(keys.initial_listing(tenant_id, location.internal_meeting_id))
            values += [initial_listing, _LISTING_LIFE]
        with self._client.guarded():
            self._note(keys=names, args=values)

    def note_all(self, meetings: Sequence[LocatedMeeting]) -> None:
        """As ``note``, for many at once."""
        for first in range(0, len(meetings), _BATCH):
            with self._client.guarded(), self._client.pipeline(transaction=False) as pipeline:
                for tenant_id, meeting_id, location in meetings[first : first + _BATCH]:
                    self._note(keys=[keys.location(tenant_id, meeting_id)], args=_arguments(location), client=pipeline)
                pipeline.execute()

    def initial_listings(self, tenant_id: int, internal_meeting_ids: Sequence[str]) -> dict[str, str]:
        """The known ones of a tenant's new meetings, by internalMeetingID."""
        if not internal_meeting_ids:
            return {}
        with self._client.guarded():
            names = [keys.initial_listing(tenant_id, each) for each in internal_meeting_ids]
            found = cast(list[str | None], self._client.mget(names))
        return {name: text for name, text in zip(internal_meeting_ids, found, strict=True) if text is not None}

    def forget(self, tenant_id: int, meeting_id: str, row: int) -> None:
        """Remove the location of a row that ended or was lost, unless a later row is recorded."""
        with self._client.guarded():
            self._forget(keys=[keys.location(tenant_id, meeting_id)], args=[row])


def _arguments(location: Location) -> list[str | int]:
    return [location.row, f"{location.row} {location.node_id} {location.internal_meeting_id}", LIFE]


def _read(text: str | None) -> Location | None:
    if text is None:
        return None
    row, node, internal = text.split(" ", 2)
    return Location(int(row), int(node), internal)
