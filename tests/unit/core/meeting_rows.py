"""Table meetings in memory.

Each change is checked as it is made against what must never happen (docs/explanation/design.md).
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from balancer.core.create_outcome import LockedRow
from balancer.core.meetings import Identity, State
from balancer.core.nodes import AdminState, Node
from tests.unit.core.schedule import Schedule
from tests.unit.core.servers import Servers, server


@dataclass(frozen=True)
class Times:
    """The times of a row."""

    placed: datetime
    created: datetime | None = None
    finished: datetime | None = None


class MeetingRows:
    """The rows, their nodes and their times. Row numbers count from 1."""

    def __init__(self, schedule: Schedule, nodes: dict[int, Node], servers: Servers) -> None:
        self.nodes, self._schedule, self._servers = nodes, schedule, servers
        self.rows: list[LockedRow] = []
        self.node_ids: dict[int, int] = {}  #: by row, even if that node was removed
        self.times: dict[int, Times] = {}
        self.sent: Counter[int] = Counter()  #: creates, by row

    def row(self, number: int) -> LockedRow:
        return self.rows[number - 1]

    def node_of(self, row: LockedRow) -> int | None:
        """The row's node; None if it was removed."""
        return self.node_ids[row.id] if self.node_ids[row.id] in self.nodes else None

    def server_of(self, row: LockedRow) -> int:
        """The number of the row's server, even if its node was removed."""
        return server(self.node_ids[row.id])

    def is_enabled(self, node_id: int) -> bool:
        """Whether the node takes new meetings; a removed one does not."""
        node = self.nodes.get(node_id)
        return node is not None and node.admin_state is AdminState.ENABLED

    def live(self, tenant_id: int, meeting_id: str) -> LockedRow | None:
        named = (row for row in self.rows if (row.tenant_id, row.meeting_id) == (tenant_id, meeting_id))
        return next((row for row in named if row.live), None)

    def namesake(self, row: LockedRow, found: Identity, node_id: int) -> LockedRow | None:
        """The other row that the node's meeting belongs to, or may belong to if that row's node was removed."""
        named = [each for each in reversed(self.rows) if each.internal_meeting_id == found.internal_meeting_id]
        return next((each for each in named if each.id != row.id and self.may_be_the_same(each, row, node_id)), None)

    def may_be_the_same(self, other: LockedRow, row: LockedRow, node_id: int) -> bool:
        place = self.node_of(other)
        return place == node_id or (place is None and (other.tenant_id != row.tenant_id or not other.handed_out))

    def other_tenant_has(self, node_id: int | None, tenant_id: int, meeting_id: str, *states: State) -> bool:
        """Whether another tenant has a meeting of this ID on the node."""
        return any(
            row.meeting_id == meeting_id
            and row.tenant_id != tenant_id
            and node_id is not None
            and self.node_of(row) == node_id
            and row.state in states
            for row in self.rows
        )

    def begin(self, row: LockedRow, found: Identity) -> bool:
        """The row runs with the meeting that its node has; False if another row prevents that."""
        there, node_id = self.live(row.tenant_id, row.meeting_id), self.node_of(row)
        foreign = self.other_tenant_has(node_id, row.tenant_id, row.meeting_id, State.CREATING, State.RUNNING)
        if foreign or (there and there.id != row.id):
            if row.state is State.ENDED and not row.handed_out:
                self.change(row, state=State.LOST)
            return False
        self.change(
            row,
            state=State.RUNNING,
            internal_meeting_id=found.internal_meeting_id,
            create_time=found.create_time,
            handed_out=True,
        )
        return True

    def add(self, row: LockedRow, node_id: int) -> None:
        now = self._schedule.now
        if row.state is State.CREATING:
            self._check_in_service(node_id, row)
        elif row.state is State.LOST:
            self.times[row.id] = Times(now - timedelta(seconds=20), None, now)
            self.sent[row.id] += 1  # the create that made it was sent with the previous row
        self.times.setdefault(row.id, Times(now))
        self._schedule.note(
            f"row {row.id}: {row.state} for tenant {row.tenant_id}'s {row.meeting_id} on node {node_id}"
        )
        self.rows.append(row)
        self.node_ids[row.id] = node_id
        self.check()

    def change(self, row: LockedRow, **changes: object) -> None:
        before = self.row(row.id)
        after = self.rows[row.id - 1] = replace(before, **changes)  # type: ignore[arg-type]
        self.check()
        self._schedule.note(f"row {row.id}: {before.state} -> {after.state} {after.internal_meeting_id}")
        if after.state is before.state:
            return
        times = self.times[row.id]
        if after.state is State.RUNNING:
            if not before.handed_out:
                self._check_in_service(self.node_ids[row.id], after)
            self.times[row.id] = replace(times, created=times.created or self._schedule.now, finished=None)
            return
        self.times[row.id] = replace(times, finished=self._schedule.now)
        if after.state is State.ENDED and before.handed_out:
            still_there = self._servers.has(self.server_of(row), row.meeting_id, before.internal_meeting_id)
            assert not still_there, f"forgotten while its node has it: {before}"

    def lose_all(self, node_id: int) -> None:
        """The node's live rows become lost."""
        for row in self.rows:
            if row.live and self.node_of(row) == node_id:
                self.change(row, state=State.LOST)

    def check(self) -> None:
        live = [row for row in self.rows if row.live]
        named = {(row.tenant_id, row.meeting_id) for row in live}
        assert len(named) == len(live), f"two live rows of one meetingID: {self.rows}"
        on_nodes = {(self.node_ids[row.id], row.meeting_id) for row in live}
        assert len(on_nodes) == len(live), f"two tenants on one node: {self.rows}"
        homeless = [row for row in live if self.node_of(row) is None]
        assert not homeless, f"live although its node was removed: {homeless}"

    def _check_in_service(self, node_id: int, row: LockedRow) -> None:
        assert self.is_enabled(node_id), f"a new meeting on a node out of service: {row}"
