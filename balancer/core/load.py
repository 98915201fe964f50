"""How loaded a node is: users seen, users still to come, and meetings that its last poll could not see yet.

A young meeting counts as many users as are expected in it, and as they arrive they take the place of the expectation:
what is added is never more than what is missing. So a burst of creates right after a poll spreads evenly, and a room
that stays small is not held for a full one for long.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from balancer.core.nodes import Snapshot
from balancer.core.parameters import Parameters

#: Share of a young meeting's time in which its whole expectation counts; then it fades to nothing.
_WHOLE = 0.5
#: Users; more than this no hint and no node is believed to have in one meeting.
LARGEST_ROOM = 10_000


class Young(NamedTuple):
    """A meeting that runs and may still fill. Both times are PostgreSQL's, in seconds since 1970."""

    node_id: int
    internal_meeting_id: str
    expected_users: float
    placed_at: float
    created_at: float


@dataclass(frozen=True)
class Seen:
    """What a node's last poll saw, and what our own rows tell of it: the same for every placement until the next."""

    snapshot: Snapshot
    filling: float  #: users still to come into young meetings that the poll saw
    late: tuple[str, ...]  #: internalMeetingIDs that it saw though their creates finished after it had begun


class Unseen(NamedTuple):
    """Live meetings of a node that its snapshot could not see: their creates had not finished when its poll began.

    Of a node without a snapshot all live meetings.
    """

    meetings: int = 0
    users: float = 0.0  #: expected in them


class Room(NamedTuple):
    """How many users a front end expects in a meeting, and how many it lets in; None: it does not say."""

    hint: float | None
    most: float | None


@dataclass(frozen=True)
class Load:
    """A node's load in users."""

    users: float  #: seen by the last poll: moderators once, breakout rooms too
    filling: float  #: still to come into young meetings that the poll saw
    reserved: float  #: expected in meetings that it could not see yet
    meetings: int  #: seen, or placed since
    video: float = 0.0  #: users that its webcams weigh as much as

    @property
    def people(self) -> float:
        """Users there and on their way."""
        return self.users + self.filling + self.reserved

    def score(self, weight: float, more: float = 0.0) -> float:
        """What is compared: load, and so many users more, over capacity."""
        return (self.people + self.video + more) / weight


def room(parameters: Parameters) -> Room:
    """What a create tells of the meeting's size, as far as it can be believed."""
    hint = _count(parameters, "meta_bbb-meeting-size-hint")
    return Room(hint or None, _count(parameters, "maxParticipants") or None)


def seen(snapshot: Snapshot, young: Iterable[Young], now: datetime, young_for: timedelta) -> Seen:
    """young: those on the snapshot's node. young_for: how long a new meeting is expected to fill."""
    at, whole, began = now.timestamp(), young_for.total_seconds(), snapshot.poll_started.timestamp()
    filling, late = 0.0, []
    for meeting in young:
        there = snapshot.participants.get(meeting.internal_meeting_id)
        if there is None:
            continue  # gone, or not seen yet
        expected = meeting.expected_users * _left(at - meeting.placed_at, whole)
        filling += max(0.0, expected - there)
        if meeting.created_at >= began:
            late.append(meeting.internal_meeting_id)
    return Seen(snapshot, filling, tuple(late))


def load(known: Seen | None, unseen: Unseen, *, video_weight: float) -> Load:
    """A node's load.

    known: None where it has no fresh snapshot. video_weight: users that one webcam weighs as much as.
    """
    if known is None:
        return Load(0, 0, unseen.users, unseen.meetings)
    snapshot = known.snapshot
    meetings = snapshot.meetings + unseen.meetings
    return Load(snapshot.users, known.filling, unseen.users, meetings, snapshot.video * video_weight)


def _left(age: float, young_for: float) -> float:
    """How much is left of an expectation: all at first, then it fades, to nothing once the meeting is not young."""
    return min(1.0, max(0.0, (1 - age / young_for) / (1 - _WHOLE)))


def _count(parameters: Parameters, name: str) -> int:
    text = parameters.text(name)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_ROOM)):
        return 0
    return min(int(text), LARGEST_ROOM)
