"""Compares what a node lists with our rows: which rows change, and which must not.

Only a poll that began after a create had finished can end its meeting. Meetings without a row were created by another
client of the node: they count as load and are otherwise left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from balancer.core.node_call import SeenMeeting

#: A node may still carry out a create this long after it timed out. A later createTime is another client's.
LATE_CREATE = timedelta(minutes=10)
#: How far off our idea of a node's clock may be: its Date header has a resolution of one second.
CLOCK_DOUBT = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class MeetingRow:
    """What a poll needs of a row of table meetings; live or lost."""

    id: int
    tenant_id: int
    meeting_id: str
    state: str
    internal_meeting_id: str | None
    placed_at: datetime
    created_at: datetime | None  #: None: no answer to create has arrived
    finished_at: datetime | None
    user_joined: bool
    peak_users: int = 0  #: the most users that polls saw at once


@dataclass(frozen=True, kw_only=True)
class NodeListing:
    """A node's successful answer to getMeetings. Times are PostgreSQL's."""

    node_id: int
    poll_started: datetime
    meetings: Collection[SeenMeeting]
    #: internalMeetingIDs in the previous poll, if this process made it.
    listed_before: frozenset[str] = frozenset()
    #: How far the node's clock is ahead of PostgreSQL's clock.
    clock_ahead: timedelta = timedelta(0)


@dataclass(frozen=True)
class RowMatch:
    """A row and the node's meeting that belongs to it."""

    row: MeetingRow
    meeting: SeenMeeting


@dataclass(kw_only=True)
class Findings:
    """What a poll means for the rows."""

    ended: list[MeetingRow] = field(default_factory=list)  #: in the previous list, and no longer in this one
    doubtful: list[MeetingRow] = field(default_factory=list)  #: never in a list: the node is asked for it by name
    abandoned: list[MeetingRow] = field(default_factory=list)  #: its create never finished and left nothing
    adopted: list[RowMatch] = field(default_factory=list)  #: its create finished without us
    returned: list[RowMatch] = field(default_factory=list)  #: lost with its node, and back with it
    left_over: list[RowMatch] = field(default_factory=list)  #: left by a create that timed out: the only kind we end
    joined: list[MeetingRow] = field(default_factory=list)  #: the first user came
    grown: list[RowMatch] = field(default_factory=list)  #: more users than ever before

    def __bool__(self) -> bool:
        return any(vars(self).values())

    @property
    def changing(self) -> list[MeetingRow]:
        """Every row that may change; some more than once."""
        matches = (*self.adopted, *self.returned, *self.left_over, *self.grown)
        return [*self.ended, *self.abandoned, *self.joined, *(match.row for match in matches)]


def compare(rows: Iterable[MeetingRow], listing: NodeListing, *, create_grace: timedelta) -> Findings:
    """What ``listing`` means for the node's rows; create_grace: how long a create of ours may take."""
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


def _compare_running(row: MeetingRow, meeting: SeenMeeting | None, listing: NodeListing, findings: Findings) -> None:
    if meeting:
        if meeting.user_joined and not row.user_joined:
            findings.joined.append(row)
        if meeting.participants > row.peak_users:
            findings.grown.append(RowMatch(row, meeting))
    elif row.created_at is not None and row.created_at < listing.poll_started:
        seen_before = row.internal_meeting_id in listing.listed_before
        (findings.ended if seen_before else findings.doubtful).append(row)


def _compare_creating(row: MeetingRow, namesake: SeenMeeting | None, overdue: datetime, findings: Findings) -> None:
    if row.placed_at >= overdue:
        return
    if namesake:
        findings.adopted.append(RowMatch(row, namesake))
    else:
        findings.abandoned.append(row)


def _compare_lost(
    row: MeetingRow,
    meeting: SeenMeeting | None,
    namesake: SeenMeeting | None,
    clock_ahead: timedelta,
    findings: Findings,
) -> None:
    if row.created_at is not None:
        if meeting and not meeting.forcibly_ended:
            findings.returned.append(RowMatch(row, meeting))
    elif namesake and _is_left_over(row, namesake, clock_ahead):
        findings.left_over.append(RowMatch(row, namesake))


def _is_left_over(row: MeetingRow, meeting: SeenMeeting, clock_ahead: timedelta) -> bool:
    """Whether ``meeting`` was made by this row's create, which timed out (by its createTime), and is empty."""
    if meeting.user_joined or meeting.participants or meeting.breakout or row.finished_at is None:
        return False
    if row.internal_meeting_id not in (None, meeting.internal_meeting_id):
        return False
    created = datetime.fromtimestamp(meeting.create_time / 1000, UTC) - clock_ahead
    return row.placed_at - CLOCK_DOUBT <= created <= row.finished_at + LATE_CREATE
