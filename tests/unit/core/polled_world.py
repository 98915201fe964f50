"""The poller's part of the store: a poll's findings, applied under the conditions of transitions.sql."""

from datetime import datetime

from balancer.core.create_outcome import LockedRow
from balancer.core.meetings import Identity, State
from balancer.core.node_call import SeenMeeting
from balancer.core.reconciliation import Findings, MeetingRow, NodeListing
from tests.unit.core.living_world import LivingWorld
from tests.unit.core.world import server


class PolledWorld(LivingWorld):
    """A world whose rows follow what nodes list."""

    def placed(self, node_id: int, listed: set[str]) -> list[MeetingRow]:
        """As rows_on_node of reconciliation.sql."""
        return [
            self._placed(row)
            for row in self.rows
            if self.node_of(row) == node_id
            and (
                row.live
                or (
                    row.state is State.LOST
                    and (row.internal_meeting_id in listed or self.times[row.id].created is None)
                )
            )
        ]

    def _placed(self, row: LockedRow) -> MeetingRow:
        times = self.times[row.id]
        return MeetingRow(
            id=row.id,
            tenant_id=row.tenant_id,
            meeting_id=row.meeting_id,
            state=row.state.value,
            internal_meeting_id=row.internal_meeting_id,
            placed_at=times.placed,
            created_at=times.created,
            finished_at=times.finished,
            user_joined=(server(self.places[row.id]), row.internal_meeting_id) in self.users,
        )

    def apply(self, findings: Findings, listing: NodeListing) -> list[SeenMeeting]:
        """Apply a poll's findings, in one transaction; returns the left-over meetings that were claimed."""
        self.end_running(findings.ended, listing.poll_started)
        for found in findings.abandoned:
            if self.row(found.id).state is State.CREATING:
                self.change_row(self.row(found.id), state=State.ENDED)
        for one in findings.adopted:
            self._adopt(self.row(one.row.id), _seen_identity(one.meeting))
        for one in findings.returned:
            row = self.row(one.row.id)
            there = row.internal_meeting_id == one.meeting.internal_meeting_id and self.node_of(row) is not None
            if row.state is State.LOST and there:
                self.begin(row, _seen_identity(one.meeting))
        return [
            one.meeting for one in findings.left_over if self._claim(self.row(one.row.id), _seen_identity(one.meeting))
        ]

    def end_running(self, rows: list[MeetingRow], poll_started: datetime) -> None:
        for placed in rows:
            created = self.times[placed.id].created
            if self.row(placed.id).state is State.RUNNING and created and created < poll_started:
                self.change_row(self.row(placed.id), state=State.ENDED)

    def _adopt(self, row: LockedRow, found: Identity) -> None:
        node_id = self.places[row.id]
        if row.state is not State.CREATING:
            return
        if not self.is_enabled(node_id):
            self.change_row(row, state=State.LOST)
        elif self.namesake(row, found, node_id):
            self.change_row(row, state=State.ENDED)
        else:
            self.begin(row, found)

    def _claim(self, row: LockedRow, found: Identity) -> bool:
        place = self.node_of(row)
        if row.state is not State.LOST or self.times[row.id].created or place is None:
            return False
        if row.internal_meeting_id not in (None, found.internal_meeting_id):
            return False
        others = [other for other in self.rows if other.id != row.id and self.node_of(other) in (place, None)]
        if any(other.internal_meeting_id == found.internal_meeting_id for other in others):
            return False
        if any(other.live and other.meeting_id == row.meeting_id for other in others):
            return False
        self.change_row(row, internal_meeting_id=found.internal_meeting_id, create_time=found.create_time)
        return True

    def end_left_over(self, node_id: int, meeting: SeenMeeting) -> None:
        """The only end that the poller sends by itself: by internalMeetingID, after a last check."""
        number, internal = known = server(node_id), meeting.internal_meeting_id
        self.step()
        if number in self.down or known in self.users:
            return
        self.step()
        held = {found.internal_meeting_id for found in self.meetings[number].values()}
        if number in self.down or internal not in held:
            return
        assert known not in self.handed_out_meetings, f"ended although a client knows it: {known}"
        assert known not in self.created_elsewhere, f"ended although it is another client's: {known}"
        self.remove(*known)


def _seen_identity(meeting: SeenMeeting) -> Identity:
    return Identity(meeting.internal_meeting_id, meeting.create_time)
