"""How loaded a node is: users seen, users still to come, and meetings that its last poll could not see yet.

A young meeting counts as many users as are expected in it. As they arrive they replace the expectation: only what is
missing is added. So a burst of creates right after a poll spreads evenly, and no room is held for long for users who do
not come.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from balancer.core.nodes import Snapshot
from balancer.core.parameters import Parameters

#: Share of a young meeting's time in which its whole expectation counts; afterwards it fades to nothing.
_WHOLE = 0.5
#: Upper bound on the users that a front end's hint or a node's answer can claim for one meeting.
LARGEST_ROOM = 10_000


class YoungMeeting(NamedTuple):
    """A running meeting that may still fill. Both times are PostgreSQL's, in seconds since 1970."""

    node_id: int
    internal_meeting_id: str
    expected_users: float
    placed_at: float
    created_at: float


@dataclass(frozen=True)
class PolledLoad:
    """What a node's last poll and our own rows say: the same for every placement until the next poll."""

    snapshot: Snapshot
    filling: float  #: users still to come into young meetings that the poll saw
    late: tuple[str, ...]  #: internalMeetingIDs that the poll saw although their creates finished after it had begun


class Reservations(NamedTuple):
    """Live meetings of a node that its snapshot could not see: their creates had not finished when its poll began.

    All live meetings if the node has no snapshot.
    """

    meetings: int = 0
    users: float = 0.0  #: expected in them


class Room(NamedTuple):
    """How many users a front end expects in a meeting, and how many it lets in; None if it does not say."""

    hint: float | None
    most: float | None

    def expected(self, peak: float | None, usual: float) -> float:
        """Users to expect in a new meeting: as many as the front end says, else as the room had lately.

        peak: the most at once in any of the room's last meetings. usual: users in a room without a history.
        """
        users = self.hint or peak or usual
        return users if self.most is None else min(users, self.most)


@dataclass(frozen=True)
class Load:
    """A node's load in users."""

    users: float  #: seen by the last poll; moderators count once, breakout rooms count too
    filling: float  #: still to come into young meetings that the poll saw
    reserved: float  #: expected in meetings that the poll could not see yet
    meetings: int  #: seen, or placed since
    video: float = 0.0  #: users that its webcams weigh as much as

    @property
    def people(self) -> float:
        """Users there and on their way."""
        return self.users + self.filling + self.reserved

    def score(self, weight: float, more: float = 0.0) -> float:
        """What nodes are compared by: the load, with so many users more, over the capacity."""
        return (self.people + self.video + more) / weight


def room(parameters: Parameters) -> Room:
    """What a create says about the meeting's size, within reason."""
    hint = _count(parameters, "meta_bbb-meeting-size-hint")
    return Room(hint or None, _count(parameters, "maxParticipants") or None)


def polled_load(snapshot: Snapshot, young: Iterable[YoungMeeting], now: datetime, young_for: timedelta) -> PolledLoad:
    """young: meetings on the snapshot's node. young_for: how long a new meeting is expected to fill."""
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
    return PolledLoad(snapshot, filling, tuple(late))


def load(polled: PolledLoad | None, reserved: Reservations, *, video_weight: float) -> Load:
    """A node's load.

    polled: None if the node has no fresh snapshot. video_weight: users that one webcam weighs as much as.
    """
    if polled is None:
        return Load(0, 0, reserved.users, reserved.meetings)
    snapshot = polled.snapshot
    meetings = snapshot.meetings + reserved.meetings
    return Load(snapshot.users, polled.filling, reserved.users, meetings, snapshot.video * video_weight)


def _left(age: float, young_for: float) -> float:
    """How much of an expectation is left: at first all, then it fades to nothing by the end of the meeting's youth."""
    return min(1.0, max(0.0, (1 - age / young_for) / (1 - _WHOLE)))


def _count(parameters: Parameters, name: str) -> int:
    text = parameters.text(name)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_ROOM)):
        return 0
    return min(int(text), LARGEST_ROOM)
