"""What a node is, what the operator wants of it and what was observed of it: two things that never mix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

#: A snapshot older than this many poll intervals says nothing about the present.
STALE_INTERVALS = 3.0


class AdminState(StrEnum):
    """What the operator wants. Only operators' commands write it."""

    ENABLED = "enabled"  #: takes new meetings
    DRAINING = "draining"  #: no new meetings, running ones go on
    DISABLED = "disabled"  #: no new meetings and no joins; info and end go on


class ObservedState(StrEnum):
    """What polls tell. The first three are stored at transitions; the last two say that nothing fresh is known."""

    ONLINE = "online"
    SUSPECT = "suspect"  #: at least one poll failed: no new meetings
    UNREACHABLE = "unreachable"  #: enough polls failed; its meetings are kept
    UNKNOWN = "unknown"  #: never polled
    STALE = "stale"  #: was online, but no fresh snapshot says so


@dataclass(frozen=True, kw_only=True)
class Node:
    """One BBB server as registered."""

    id: int
    name: str
    url: str  #: of its API, ending in "/bigbluebutton/api/" or as given, always in "/"
    secret: str = field(repr=False)
    admin_state: AdminState
    weight: float = 1.0  #: capacity: 2.0 takes twice the users of 1.0
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A node's state since its last transition (table node_observations)."""

    state: ObservedState
    reason: str  #: dns connect tls http checksum version slow; "" while online
    since: datetime
    bbb_version: str = ""
    fencing: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a node said at one poll. Both times are PostgreSQL's."""

    node_id: int
    fencing: int  #: number of the lease under which it was taken
    poll_started: datetime  #: nothing that happened on the node after this is promised to be in here
    polled: datetime
    users: int
    video: int
    participants: Mapping[str, int]  #: of every meeting on the node, breakout rooms too, by internalMeetingID
    bbb_version: str = ""

    @property
    def meetings(self) -> int:
        return len(self.participants)

    def age(self, now: datetime) -> timedelta:
        """How old the news is: since the poll began, not since it was written."""
        return now - self.poll_started

    def fresh(self, now: datetime, poll_interval: float) -> bool:
        """Whether placement and pages may count on it; poll_interval: seconds."""
        return self.age(now) <= timedelta(seconds=STALE_INTERVALS * poll_interval)


def observed_state(
    observation: Observation | None, snapshot: Snapshot | None, now: datetime, poll_interval: float
) -> ObservedState:
    """A node's state as of ``now``: the last good value is never carried on once it is old."""
    if observation is None:
        return ObservedState.UNKNOWN
    if observation.state is not ObservedState.ONLINE:
        return observation.state
    if snapshot is None or not snapshot.fresh(now, poll_interval):
        return ObservedState.STALE
    return ObservedState.ONLINE
