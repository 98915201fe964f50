"""What a node lists against what we know of it: which rows change, and which must not.

Only a poll that began after a create had finished can end its meeting. Meetings that no row knows were created behind
our back: they count as load and are left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from balancer.core.node_call import SeenMeeting

#: A create that timed out may be carried out this much later; createTime after that is somebody else's.
LATE_CREATE = timedelta(minutes=10)
#: A node's clock is known to a second (its Date header).
CLOCK_DOUBT = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A row of table meetings, as far as a poll concerns it: live, or lost."""

    id: int
    tenant_id: int
    meeting_id: str
    state: str
    internal_meeting_id: str | None
    placed_at: datetime
    created_at: datetime | None  #: None: no answer to create ever arrived
    finished_at: datetime | None
    user_joined: bool
    peak_users: int = 0  #: the most that polls saw at once


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A node's good answer to getMeetings. Times are PostgreSQL's."""

    node_id: int
    poll_started: datetime
    meetings: Collection[SeenMeeting]
    #: internalMeetingIDs of the poll before, as far as this poller made it.
    listed_before: frozenset[str] = frozenset()
    #: How far the node's clock is ahead of PostgreSQL's.
    clock_ahead: timedelta = timedelta(0)


@dataclass(frozen=True)
class Found:
    """A row and the meeting on the node that belongs to it."""

    row: Placed
    meeting: SeenMeeting


@dataclass(kw_only=True)
class Findings:
    """What a poll means for the rows."""

    ended: list[Placed] = field(default_factory=list)  #: was listed before and is no more
    doubtful: list[Placed] = field(default_factory=list)  #: never seen in a list: the node is asked for it by name
    abandoned: list[Placed] = field(default_factory=list)  #: a create that never finished and left nothing
    adopted: list[Found] = field(default_factory=list)  #: a create that finished without us
    returned: list[Found] = field(default_factory=list)  #: lost with its node, and back with it
    left_over: list[Found] = field(default_factory=list)  #: by a create that timed out: the one thing we end
    joined: list[Placed] = field(default_factory=list)  #: the first user came
    grown: list[Found] = field(default_factory=list)  #: more users than ever before

    def __bool__(self) -> bool:
        return any(vars(self).values())

    @property
    def changing(self) -> list[Placed]:
        """Every row that is not left as it is; some more than once."""
        found = (*self.adopted, *self.returned, *self.left_over, *self.grown)
        return [*self.ended, *self.abandoned, *self.joined, *(one.row for one in found)]


def compare(rows: Iterable[Placed], listing: Listing, *, create_grace: timedelta) -> Findings:
    """What ``listing`` means for the node's rows; create_grace: after it no create of ours is still under way."""
    rows = list(rows)
    by_internal = {meeting.internal_meeting_id: meeting for meeting in listing.meetings}
    by_external = {meeting.meeting_id: meeting for meeting in listing.meetings if not meeting.forcibly_ended}
    live = {row.meeting_id for row in rows if row.state != "lost"}
    known = {row.internal_meeting_id for row in rows} - {None}
    findings = Findings()
    for row in rows:
        meeting = by_internal.get(row.internal_meeting_id or "")
        namesake = by_external.get(row.meeting_id)
        if namesake and namesake.internal_meeting_id in known:
            namesake = meeting
        if row.state == "running":
            _compare_running(row, meeting, listing, findings)
        elif row.state == "creating":
            _compare_creating(row, namesake, listing.poll_started - create_grace, findings)
        elif row.meeting_id not in live:
            _compare_lost(row, meeting, namesake, listing.clock_ahead, findings)
    return findings


def _compare_running(row: Placed, meeting: SeenMeeting | None, listing: Listing, findings: Findings) -> None:
    if meeting:
        if meeting.user_joined and not row.user_joined:
            findings.joined.append(row)
        if meeting.participants > row.peak_users:
            findings.grown.append(Found(row, meeting))
    elif row.created_at is not None and row.created_at < listing.poll_started:
        seen_before = row.internal_meeting_id in listing.listed_before
        (findings.ended if seen_before else findings.doubtful).append(row)


def _compare_creating(row: Placed, namesake: SeenMeeting | None, overdue: datetime, findings: Findings) -> None:
    if row.placed_at >= overdue:
        return
    if namesake:
        findings.adopted.append(Found(row, namesake))
    else:
        findings.abandoned.append(row)


def _compare_lost(
    row: Placed, meeting: SeenMeeting | None, namesake: SeenMeeting | None, clock_ahead: timedelta, findings: Findings
) -> None:
    if row.created_at is not None:
        if meeting and not meeting.forcibly_ended:
            findings.returned.append(Found(row, meeting))
    elif namesake and _is_left_over(row, namesake, clock_ahead):
        findings.left_over.append(Found(row, namesake))


def _is_left_over(row: Placed, meeting: SeenMeeting, clock_ahead: timedelta) -> bool:
    """Whether ``meeting`` is what a create of ours made that timed out, told by its createTime, with nobody in it."""
    if meeting.user_joined or meeting.participants or meeting.breakout or row.finished_at is None:
        return False
    if row.internal_meeting_id not in (None, meeting.internal_meeting_id):
        return False
    created = datetime.fromtimestamp(meeting.create_time / 1000, UTC) - clock_ahead
    return row.placed_at - CLOCK_DOUBT <= created <= row.finished_at + LATE_CREATE
