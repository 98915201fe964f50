"""The actors: front ends with their users, pollers and operators."""

from datetime import datetime, timedelta

from balancer.core.creation import Creation
from balancer.core.exact_end import NotEndedError, end_at
from balancer.core.health import Thresholds, after_failure, after_pass, reconsidered
from balancer.core.meetings import LiveMeeting, State
from balancer.core.nodes import AdminState, ObservedState
from balancer.core.reconciliation import MeetingRow, NodeListing, compare
from balancer.errors import BBBError, NodeError
from tests.unit.core.poll_store import PollStore
from tests.unit.core.servers import ServerMeeting, server
from tests.unit.core.world import MOVE_AFTER, World, wanted

_GRACE = timedelta(seconds=28)
_THRESHOLDS = Thresholds(fail=2, passes=1)


class Poller:
    """A poller with its own memory, as in balancer.polling. Health is shared, because the lease has one holder."""

    def __init__(self, world: World) -> None:
        self._world, self._servers, self._store = world, world.servers, PollStore(world)
        self._listed: dict[int, frozenset[str]] = {}

    def poll(self, number: int) -> None:
        """Poll the node as which the server is registered, if it is."""
        world, started = self._world, self._world.schedule.now
        node = world.node_at(number)
        if node is None:
            return
        node_id = node.id
        world.step()
        if number in self._servers.down:
            self._failed(node_id, started)
            return
        seen = self._servers.listed(number)
        world.step()
        before = world.health.get(node_id)
        world.observe(node_id, after_pass(before, started=started, ended=world.schedule.now, thresholds=_THRESHOLDS))
        self._reconsider()
        world.step()
        internal = {meeting.internal_meeting_id for meeting in seen}
        listing = NodeListing(
            node_id=node_id,
            poll_started=started,
            meetings=seen,
            listed_before=self._listed.get(node_id, frozenset()),
        )
        world.schedule.note(f"node {node_id}: listed {sorted(internal)}")
        findings = compare(self._store.placed(node_id, internal), listing, create_grace=_GRACE)
        # The rows are read before any of them is locked.
        world.step()
        left_over = self._store.apply(findings, listing)
        gone = self._ask_for(number, findings.doubtful)
        world.step()
        self._store.end_running(gone, started)
        for meeting in left_over:
            self._end_left_over(number, meeting.internal_meeting_id)
        self._listed[node_id] = frozenset(internal)

    def _failed(self, node_id: int, started: datetime) -> None:
        world = self._world
        others = [health for each, health in world.health.items() if each != node_id]
        before = world.health.get(node_id)
        health = after_failure(
            before, "connect", started=started, ended=world.schedule.now, thresholds=_THRESHOLDS, others=others
        )
        world.observe(node_id, health)

    def _reconsider(self) -> None:
        world = self._world
        for node_id, health in list(world.health.items()):
            others = [other for each, other in world.health.items() if each != node_id]
            world.observe(node_id, reconsidered(health, now=world.schedule.now, thresholds=_THRESHOLDS, others=others))

    def _ask_for(self, number: int, rows: list[MeetingRow]) -> list[MeetingRow]:
        gone = []
        for row in rows:
            self._world.step()
            if number in self._servers.down:
                break
            found = self._servers.find(number, row.meeting_id)
            if found is None or found.internal_meeting_id != row.internal_meeting_id:
                gone.append(row)
        return gone

    def _end_left_over(self, number: int, internal_meeting_id: str) -> None:
        """The only end that the poller sends by itself: by internalMeetingID, after a last check."""
        servers, known = self._servers, (number, internal_meeting_id)
        self._world.step()
        if number in servers.down or known in servers.users:
            return
        self._world.step()
        held = {found.internal_meeting_id for found in servers.meetings[number].values()}
        if number in servers.down or internal_meeting_id not in held:
            return
        assert known not in servers.handed_out, f"ended although a client knows it: {known}"
        assert known not in servers.created_elsewhere, f"ended although it is another client's: {known}"
        servers.remove(number, internal_meeting_id)


class Client:
    """A front end and its users. It sends create before every join."""

    def __init__(self, world: World, tenant_id: int, meeting_id: str) -> None:
        self._world, self._tenant_id, self._meeting_id = world, tenant_id, meeting_id

    def create(self) -> str | None:
        """internalMeetingID of the meeting in the answer; None if the create failed."""
        world = self._world
        world.clients += 1
        try:
            answer = Creation(store=world, nodes=world, move_after=MOVE_AFTER).create(
                wanted(self._meeting_id, self._tenant_id)
            )
        except (BBBError, NodeError):
            return None
        finally:
            world.clients -= 1
        if not answer.success:
            return None
        given = (server(int(answer.text("node"))), answer.text("internalMeetingID"))
        table = world.table
        known = [row for row in table.rows if (table.server_of(row), row.internal_meeting_id) == given]
        assert any(row.handed_out for row in known), f"handed out although no row has it: {given}"
        assert {row.tenant_id for row in known} == {self._tenant_id}, (
            f"another tenant's meeting was handed out: {given}"
        )
        world.servers.handed_out.add(given)
        return given[1]

    def come(self) -> None:
        """create, and join on the node that the row names."""
        if self.create() is not None and (reached := self._reached()):
            self._world.servers.users.add(reached)

    def end(self) -> None:
        """end, forwarded to the node."""
        if reached := self._reached():
            self._world.servers.asked_to_end.add(reached)
            self._world.servers.end(*reached)

    def _reached(self) -> ServerMeeting | None:
        """The row's server and the internalMeetingID there, if a call reaches it."""
        world = self._world
        world.step()
        found = world.live_meeting(self._tenant_id, self._meeting_id)
        if found is None or found.node is None or found.state is not State.RUNNING:
            return None
        world.step()
        number = server(found.node.id)
        held = world.servers.meetings[number].get(self._meeting_id)
        return (number, held.internal_meeting_id) if held and number not in world.servers.down else None


class Operator:
    """What operators do to nodes, and to one meeting."""

    def __init__(self, world: World, tenant_id: int, meeting_id: str) -> None:
        self.world, self._tenant_id, self._meeting_id = world, tenant_id, meeting_id

    def want(self, number: int, state: AdminState) -> None:
        """`balancer node enable`, `drain` and `disable`."""
        if node := self.world.node_at(number):
            self.world.set_state(node.id, state)

    def remove(self, number: int, *, force: bool) -> None:
        """`balancer node remove`."""
        world = self.world
        world.step()
        node = world.node_at(number)
        if node is None:
            return
        busy = any(row.live and world.table.node_of(row) == node.id for row in world.table.rows)
        if force or not (busy or node.admin_state is AdminState.ENABLED):
            world.remove_node(node)

    def register(self, number: int, state: AdminState) -> None:
        """`balancer node add`, for a server that was removed before."""
        self.world.step()
        if self.world.node_at(number) is None:
            self.world.register(number, state)

    def end(self) -> None:
        """`balancer meeting end`."""
        world = self.world
        world.step()
        found = world.live_meeting(self._tenant_id, self._meeting_id)
        if found is None or found.node is None or found.state is not State.RUNNING:
            return
        internal = found.internal_meeting_id or ""
        world.servers.asked_to_end.add((server(found.node.id), internal))
        try:
            ended = end_at(world, found.node, self._meeting_id, internal)
        except (NotEndedError, NodeError):
            return
        world.step()
        if ended:
            self.note_end(found)

    def note_end(self, meeting: LiveMeeting) -> None:
        """The row stays running until a poll finds that the node has ended the meeting."""
        self.world.schedule.note(f"row {meeting.id}: its end is requested")

    def give_up(self) -> None:
        """`balancer meeting give-up`."""
        world = self.world
        world.step()
        found = world.live_meeting(self._tenant_id, self._meeting_id)
        if found is None or found.node is None:
            return
        health = world.health.get(found.node.id)
        if health is None or health.state is not ObservedState.ONLINE:
            world.table.change(world.table.row(found.id), state=State.LOST)
