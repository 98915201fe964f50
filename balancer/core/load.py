"""How loaded a node is: users seen, users still to come, and meetings that its last poll could not see yet.

A young meeting counts as many users as are expected in it, and as they arrive they take the place of the expectation:
what is added is never more than what is missing. So a burst of creates right after a poll spreads evenly, and a room
that stays small is not held for a full one for long.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from balancer.core.nodes import Node, Snapshot
from balancer.core.parameters import Parameters

#: Share of a young meeting's time in which its whole expectation counts; then it fades to nothing.
_WHOLE = 0.5
#: Users; more than this no hint and no node is believed to have in one meeting.
LARGEST_ROOM = 10_000


class Young(NamedTuple):
    """A live meeting that may still fill. Both times are PostgreSQL's, in seconds since 1970.

    A placement reads all there are: a tuple of numbers costs it least.
    """

    node_id: int
    internal_meeting_id: str | None
    expected_users: float
    placed_at: float
    created_at: float | None  #: None while it is being created


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

    def score(self, weight: float) -> float:
        """What is compared: load over capacity."""
        return (self.people + self.video) / weight


def expected_users(parameters: Parameters, peaks: Collection[int], default: float) -> float:
    """Users to expect in a new meeting, never more than the room takes.

    The front end's own hint; without one the largest of ``peaks``, the most users that were seen at once in each of the
    room's last meetings; ``default`` for a room that is new.
    """
    expected = _count(parameters, "meta_bbb-meeting-size-hint") or max(peaks, default=0) or default
    most = _count(parameters, "maxParticipants")
    return min(expected, most) if most else expected


def loads(
    nodes: Iterable[Node],
    snapshots: Mapping[int, Snapshot],
    young: Iterable[Young],
    placed: Mapping[int, tuple[int, float]],
    now: datetime,
    young_for: timedelta,
    *,
    video_weight: float,
) -> dict[int, Load]:
    """Every node's load, by node id.

    snapshots: the last of each node, where there is one. placed: live meetings and the users expected in them, for
    nodes without a snapshot. young_for: how long a new meeting is expected to fill. video_weight: users that one webcam
    weighs as much as.
    """
    by_node: dict[int, list[Young]] = {}
    for meeting in young:
        by_node.setdefault(meeting.node_id, []).append(meeting)
    return {
        node.id: _load(
            snapshots[node.id], by_node.get(node.id, ()), now.timestamp(), young_for.total_seconds(), video_weight
        )
        if node.id in snapshots
        else _blind(placed.get(node.id, (0, 0.0)))
        for node in nodes
    }


def _load(snapshot: Snapshot, young: Iterable[Young], now: float, young_for: float, video_weight: float) -> Load:
    poll_started = snapshot.poll_started.timestamp()
    filling, reserved, unseen = 0.0, 0.0, 0
    fading = now - _WHOLE * young_for  #: what was placed before fades
    for meeting in young:
        expected = meeting.expected_users
        if meeting.placed_at < fading:
            expected *= _left(now - meeting.placed_at, young_for)
        seen = snapshot.participants.get(meeting.internal_meeting_id or "")
        if seen is not None:
            filling += max(0.0, expected - seen)
        elif meeting.created_at is None or meeting.created_at >= poll_started:
            reserved += expected
            unseen += 1
        # else the poll would have seen it: it is gone
    return Load(snapshot.users, filling, reserved, snapshot.meetings + unseen, snapshot.video * video_weight)


def _blind(placed: tuple[int, float]) -> Load:
    """Without a snapshot only our own rows tell anything."""
    meetings, users = placed
    return Load(0, 0, users, meetings)


def _left(age: float, young_for: float) -> float:
    """How much is left of an expectation that fades: nothing once the meeting is no longer young."""
    return max(0.0, (1 - age / young_for) / (1 - _WHOLE))


def _count(parameters: Parameters, name: str) -> int:
    text = parameters.text(name)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_ROOM)):
        return 0
    return min(int(text), LARGEST_ROOM)
