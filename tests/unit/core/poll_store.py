"""The poller's part of the store: a poll's findings, applied under the conditions of transitions.sql."""

from datetime import datetime

from balancer.core.create_outcome import LockedRow
from balancer.core.meetings import Identity, State
from balancer.core.node_call import SeenMeeting
from balancer.core.reconciliation import Findings, MeetingRow, NodeListing
from tests.unit.core.world import World


class PollStore:
    """Makes a world's rows follow what its nodes list."""

    def __init__(self, world: World) -> None:
        self.table, self._servers = world.table, world.servers

    def placed(self, node_id: int, listed: set[str]) -> list[MeetingRow]:
        """As rows_on_node of reconciliation.sql."""
        return [
            self._placed(row)
            for row in self.table.rows
            if self.table.node_of(row) == node_id
            and (
                row.live
                or (
                    row.state is State.LOST
                    and (row.internal_meeting_id in listed or self.table.times[row.id].created is None)
                )
            )
        ]

    def _placed(self, row: LockedRow) -> MeetingRow:
        times = self.table.times[row.id]
        return MeetingRow(
            id=row.id,
            tenant_id=row.tenant_id,
            meeting_id=row.meeting_id,
            state=row.state.value,
            internal_meeting_id=row.internal_meeting_id,
            placed_at=times.placed,
            created_at=times.created,
            finished_at=times.finished,
            user_joined=(self.table.server_of(row), row.internal_meeting_id) in self._servers.users,
        )

    def apply(self, findings: Findings, listing: NodeListing) -> list[SeenMeeting]:
        """Apply a poll's findings, in one transaction; returns the left-over meetings that were claimed."""
        self.end_running(findings.ended, listing.poll_started)
        for found in findings.abandoned:
            row = self.table.row(found.id)
            if row.state is State.CREATING:
                self.table.change(row, state=State.ENDED)
        for one in findings.adopted:
            self._adopt(self.table.row(one.row.id), _identity(one.meeting))
        for one in findings.returned:
            row = self.table.row(one.row.id)
            there = row.internal_meeting_id == one.meeting.internal_meeting_id and self.table.node_of(row) is not None
            if row.state is State.LOST and there:
                self.table.begin(row, _identity(one.meeting))
        return [
            one.meeting for one in findings.left_over if self._claim(self.table.row(one.row.id), _identity(one.meeting))
        ]

    def end_running(self, rows: list[MeetingRow], poll_started: datetime) -> None:
        for placed in rows:
            row, created = self.table.row(placed.id), self.table.times[placed.id].created
            if row.state is State.RUNNING and created and created < poll_started:
                self.table.change(row, state=State.ENDED)

    def _adopt(self, row: LockedRow, found: Identity) -> None:
        node_id = self.table.node_ids[row.id]
        if row.state is not State.CREATING:
            return
        if not self.table.is_enabled(node_id):
            self.table.change(row, state=State.LOST)
        elif self.table.namesake(row, found, node_id):
            self.table.change(row, state=State.ENDED)
        else:
            self.table.begin(row, found)

    def _claim(self, row: LockedRow, found: Identity) -> bool:
        place = self.table.node_of(row)
        if row.state is not State.LOST or self.table.times[row.id].created or place is None:
            return False
        if row.internal_meeting_id not in (None, found.internal_meeting_id):
            return False
        others = [each for each in self.table.rows if each.id != row.id and self.table.node_of(each) in (place, None)]
        if any(other.internal_meeting_id == found.internal_meeting_id for other in others):
            return False
        if any(other.live and other.meeting_id == row.meeting_id for other in others):
            return False
        self.table.change(row, internal_meeting_id=found.internal_meeting_id, create_time=found.create_time)
        return True


def _identity(meeting: SeenMeeting) -> Identity:
    return Identity(meeting.internal_meeting_id, meeting.create_time)
