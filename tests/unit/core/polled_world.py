"""The poller's part of the store: a poll's findings, applied under the conditions of storage/reconciliation.sql."""

from datetime import datetime

from balancer.core.meetings import Identity, State
from balancer.core.node_call import SeenMeeting
from balancer.core.reconciliation import Findings, Listing, Placed
from balancer.core.settlement import Row
from tests.unit.core.living_world import LivingWorld
from tests.unit.core.world import server


class PolledWorld(LivingWorld):
    """A world whose rows follow what nodes list."""

    def placed(self, node_id: int, listed: set[str]) -> list[Placed]:
        """rows_on_node."""
        return [
            self._placed(row)
            for row in self.rows
            if self._place(row) == node_id
            and (
                row.live
                or (
                    row.state is State.LOST
                    and (row.internal_meeting_id in listed or self.times[row.id].created is None)
                )
            )
        ]

    def _placed(self, row: Row) -> Placed:
        times = self.times[row.id]
        return Placed(
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

    def apply(self, findings: Findings, listing: Listing) -> list[SeenMeeting]:
        """A poll's findings, in one transaction; what is left over and claimed."""
        self.end_running(findings.ended, listing.poll_started)
        for found in findings.abandoned:
            if self.row(found.id).state is State.CREATING:
                self._set(self.row(found.id), state=State.ENDED)
        for one in findings.adopted:
            self._adopt(self.row(one.row.id), _seen_identity(one.meeting))
        for one in findings.returned:
            row = self.row(one.row.id)
            there = row.internal_meeting_id == one.meeting.internal_meeting_id and self._place(row) is not None
            if row.state is State.LOST and there:
                self._begin(row, _seen_identity(one.meeting))
        return [
            one.meeting for one in findings.left_over if self._claim(self.row(one.row.id), _seen_identity(one.meeting))
        ]

    def end_running(self, rows: list[Placed], poll_started: datetime) -> None:
        for placed in rows:
            created = self.times[placed.id].created
            if self.row(placed.id).state is State.RUNNING and created and created < poll_started:
                self._set(self.row(placed.id), state=State.ENDED)

    def _adopt(self, row: Row, found: Identity) -> None:
        node_id = self.places[row.id]
        if row.state is not State.CREATING:
            return
        if not self._enabled(node_id):
            self._set(row, state=State.LOST)
        elif self._namesake(row, found, node_id):
            self._set(row, state=State.ENDED)
        else:
            self._begin(row, found)

    def _claim(self, row: Row, found: Identity) -> bool:
        place = self._place(row)
        if row.state is not State.LOST or self.times[row.id].created or place is None:
            return False
        if row.internal_meeting_id not in (None, found.internal_meeting_id):
            return False
        others = [other for other in self.rows if other.id != row.id and self._place(other) in (place, None)]
        if any(other.internal_meeting_id == found.internal_meeting_id for other in others):
            return False
        if any(other.live and other.meeting_id == row.meeting_id for other in others):
            return False
        self._set(row, internal_meeting_id=found.internal_meeting_id, create_time=found.create_time)
        return True

    def end_left_over(self, node_id: int, meeting: SeenMeeting) -> None:
        """The poller's own end, the one that nobody asked for: by internalMeetingID, after a last look."""
        number, internal = known = server(node_id), meeting.internal_meeting_id
        self.step()
        if number in self.down or known in self.users:
            return
        self.step()
        held = {found.internal_meeting_id for found in self.meetings[number].values()}
        if number in self.down or internal not in held:
            return
        assert known not in self.given_out, f"ended although a client was told of it: {known}"
        assert known not in self.strange, f"ended although it is somebody else's: {known}"
        self.remove(*known)


def _seen_identity(meeting: SeenMeeting) -> Identity:
    return Identity(meeting.internal_meeting_id, meeting.create_time)
