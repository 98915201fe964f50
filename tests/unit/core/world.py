"""Nodes, rows and an order of events, all in memory: the test bed for the rules of create, end and polling.

The store implements core.meetings.MeetingStore with core.create_outcome, as the real one does. A schedule runs several
actors, one step at a time, in an order that its seed decides: between any two calls to the store or to a node anything
may happen. Nodes fail, restart, return, are removed and registered again. poll_store.py has what polls do to rows,
actors.py has the actors.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from greenlet import getcurrent

from balancer.core.create_outcome import LockedRow, Step, settle
from balancer.core.health import Health
from balancer.core.meetings import Identity, LiveMeeting, State, Upload, Wanted, identity
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.core.parameters import Parameters
from balancer.errors import NodeUnreachableError, NoNodeAvailableError
from tests.unit.core.meeting_rows import MeetingRows
from tests.unit.core.schedule import Schedule
from tests.unit.core.servers import GARBAGE, UNREACHABLE, ServerMeeting, Servers, failure, server, success

MOVE_AFTER = 180.0


class Killed(BaseException):
    """A web worker died in the middle of a request."""


class World:
    """A store and its nodes. At the start, all of them are enabled and online.

    tick: resolution of the servers' clocks, in milliseconds. A coarse one lets two servers use one internalMeetingID.
    """

    def __init__(self, *names: str, seed: int = 0, tick: int = 1) -> None:
        self.schedule = Schedule(seed)
        self.nodes: dict[int, Node] = {}
        for number, name in enumerate(names, 1):
            self._add_node(number, name, AdminState.ENABLED)
        self._registered = len(names)  #: registrations of nodes so far
        online = Health(state=ObservedState.ONLINE, reason="", since=self.schedule.now)
        self.health = dict.fromkeys(self.nodes, online)
        self.servers = Servers(self.schedule, len(names), tick)
        self.table = MeetingRows(self.schedule, self.nodes, self.servers)
        self.calls: list[tuple[str, str]] = []
        self.causes: list[str] = []
        #: internalMeetingIDs of meetings that were created on a node out of service.
        self.created_out_of_service: set[str] = set()
        self.clients = 0  #: requests under way
        self.doomed: set[object] = set()  #: actors that die at one of their steps
        self._unreachable: dict[int, float] = {}  #: seconds, by node
        self._mostly: dict[object, bool] = {}  #: what mostly_unreachable last returned, by actor
        self._silent: dict[object, int] = {}  #: node that did not answer when it was last asked, by actor

    def step(self) -> None:
        """As the schedule's. Here workers die, and servers carry out the ends that they accepted."""
        self.schedule.step()
        self.servers.carry_out_ends()
        if getcurrent() in self.doomed and self.schedule.random.random() < 0.3:
            raise Killed

    def skip(self, seconds: float) -> None:
        """Let time pass in which nothing happens, unless a request is under way: none takes that long."""
        if not self.clients:
            self.schedule.skipped += timedelta(seconds=seconds)
            self._note_unreachable()

    # The store.

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[LiveMeeting, bool]:
        self.schedule.step()
        there = self.live_meeting(wanted.tenant_id, wanted.meeting_id)
        if there:
            return there, False
        return self._reserve(wanted, self._choose(wanted, refused)), True

    def move(
        self, meeting: LiveMeeting, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[LiveMeeting, bool]:
        assert meeting.node
        assert (meeting.unreachable_for or 0) >= MOVE_AFTER, f"lost although its node may be there: {cause}"
        assert self._mostly.pop(getcurrent(), None) is False, "lost although most nodes may be away"
        assert self._silent.pop(getcurrent(), None) == meeting.node.id, "lost although its node was not asked"
        self.schedule.step()
        there = self.live_meeting(wanted.tenant_id, wanted.meeting_id)
        if there and (there.id, there.state) != (meeting.id, meeting.state):
            return there, False
        node_id = self._choose(wanted, refused)
        if there:
            self.table.change(self.table.row(there.id), state=State.LOST)
            self.causes.append(cause)
        return self._reserve(wanted, node_id), True

    def _choose(self, wanted: Wanted, refused: Collection[int]) -> int:
        namesakes = (wanted.tenant_id, wanted.meeting_id, State.CREATING, State.RUNNING, State.LOST)
        fit = [
            node_id
            for node_id in self.nodes
            if self.table.is_enabled(node_id)
            and node_id not in refused
            and node_id not in self._unreachable
            and node_id in self.health
            and not self.table.other_tenant_has(node_id, *namesakes)
        ]
        if not fit:
            raise NoNodeAvailableError
        return min(fit, key=lambda node_id: (len(self.servers.meetings[server(node_id)]), node_id))

    def _reserve(self, wanted: Wanted, node_id: int) -> LiveMeeting:
        row = LockedRow(
            id=len(self.table.rows) + 1,
            tenant_id=wanted.tenant_id,
            meeting_id=wanted.meeting_id,
            state=State.CREATING,
            internal_meeting_id=None,
            create_time=None,
            handed_out=False,
        )
        self.table.add(row, node_id)
        return self._live_meeting(row)

    def settle(self, meeting: LiveMeeting, reported: Identity, initial_listing: str = "") -> bool:
        self.schedule.step()
        row = self.table.row(meeting.id)
        assert meeting.node
        namesake = self.table.namesake(row, reported, meeting.node.id)
        step = settle(row, namesake, reported, enabled=self.table.is_enabled(meeting.node.id))
        done = self._carry_out(step, row, namesake, reported)
        return step.hands_out and done

    def _carry_out(self, step: Step, row: LockedRow, namesake: LockedRow | None, found: Identity) -> bool:
        table = self.table
        if step is Step.REFUSE and row.live:
            table.change(row, state=State.ENDED)
        elif step is Step.DISOWN:
            table.change(row, state=State.LOST)
        elif step is Step.BEGIN:
            return table.begin(row, found)
        elif step is Step.TAKE_BACK and namesake:
            table.change(row, state=State.ENDED)
            return table.begin(namesake, found)
        elif step in (Step.SUCCEED, Step.DISOWN_SUCCESSOR):
            if row.state is not State.ENDED:
                table.change(row, state=State.ENDED)
            new = replace(
                row,
                id=len(table.rows) + 1,
                state=State.LOST,
                internal_meeting_id=None,
                create_time=None,
                handed_out=False,
            )
            table.add(new, table.node_ids[row.id])
            return step is Step.DISOWN_SUCCESSOR or table.begin(new, found)
        return True

    def finish(self, meeting: LiveMeeting, state: State, cause: str) -> bool:
        may_be_there = meeting.state is State.RUNNING and meeting.node is not None
        assert not (state is State.LOST and may_be_there), f"lost although no other node has taken it: {cause}"
        self.schedule.step()
        row = self.table.row(meeting.id)
        if row.state is not meeting.state:
            return False
        self.table.change(row, state=state)
        self.causes.append(cause)
        return True

    def mostly_unreachable(self) -> bool:
        self.schedule.step()
        found = self._mostly[getcurrent()] = len(self._unreachable) * 2 > len(self.nodes)
        return found

    # The calls to nodes.

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        self.step()
        self.calls.append((node.name, "create"))
        row, number = self._row_of(node.id, parameters.text("meetingID")), server(node.id)
        self.table.sent[row] += 1
        if number in self.servers.down:
            raise UNREACHABLE
        error, carried_out = self.servers.faults.get(number, (None, True))
        if error and not carried_out and self.schedule.random.random() < 0.5:
            self.servers.late.append((node, parameters, row))
        answer = self.servers.create(node, parameters, row) if carried_out else None
        created = identity(answer) if answer and answer.success else None
        self.schedule.note(f"node {node.id}: create {parameters.text('meetingID')}: {error} {created}")
        if answer and created and not answer.message_key and not self.table.is_enabled(node.id):
            self.created_out_of_service.add(created.internal_meeting_id)
        self.step()
        if error or number in self.servers.down:
            raise error or GARBAGE
        assert answer
        return answer

    def _row_of(self, node_id: int, meeting_id: str) -> int:
        named = [row.id for row in self.table.rows if row.meeting_id == meeting_id]
        return max(row for row in named if self.table.node_ids[row] == node_id)

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        assert name in ("getMeetingInfo", "end")
        number = server(node.id)
        self.step()
        self._silent[getcurrent()] = node.id
        self.calls.append((node.name, name))
        if number in self.servers.down:
            raise NodeUnreachableError("refused")
        self.schedule.step()
        error, carried_out = self.servers.faults.get(number, (None, True))
        found = self.servers.find(number, parameters.text("meetingID"))
        if found and name == "end" and carried_out:
            self.servers.end(number, found.internal_meeting_id)
        self.schedule.step()
        if error:
            raise error
        del self._silent[getcurrent()]
        return success(found, node) if found else failure("notFound")

    # The nodes.

    def node_at(self, number: int) -> Node | None:
        """The node as which a server is registered."""
        return next((node for node in self.nodes.values() if server(node.id) == number), None)

    def set_state(self, node_id: int, state: AdminState) -> None:
        self.schedule.step()
        if node := self.nodes.get(node_id):
            self.nodes[node_id] = replace(node, admin_state=state)

    def remove_node(self, node: Node) -> None:
        """In one transaction, as `balancer node remove`."""
        self.table.lose_all(node.id)
        del self.nodes[node.id]
        self.health.pop(node.id, None)
        self._note_unreachable()
        self.table.check()

    def register(self, number: int, state: AdminState) -> None:
        self._registered += 1
        self._add_node(self._registered * 10 + number, "abc"[number - 1], state)

    def _add_node(self, node_id: int, name: str, state: AdminState) -> None:
        self.nodes[node_id] = Node(id=node_id, name=name, url=f"https://{name}/", secret="secret", admin_state=state)

    def observe(self, node_id: int, health: Health) -> None:
        """Record a node's health, unless the node was removed."""
        if node_id in self.nodes:
            self.health[node_id] = health
            self._note_unreachable()

    def _note_unreachable(self) -> None:
        self._unreachable = {
            node_id: (self.schedule.now - health.since).total_seconds()
            for node_id, health in self.health.items()
            if health.state is ObservedState.UNREACHABLE
        }

    # What the rows and the nodes say.

    def states(self) -> list[tuple[str, str]]:
        """Node name and state by row; the name is empty if the node was removed."""
        node_ids = [(self.table.node_of(row), row) for row in self.table.rows]
        return [(self.nodes[node_id].name if node_id else "", row.state.value) for node_id, row in node_ids]

    def live_meeting(self, tenant_id: int, meeting_id: str) -> LiveMeeting | None:
        row = self.table.live(tenant_id, meeting_id)
        return self._live_meeting(row) if row else None

    def _live_meeting(self, row: LockedRow) -> LiveMeeting:
        node_id = self.table.node_of(row) or 0
        return LiveMeeting(
            id=row.id,
            tenant_id=row.tenant_id,
            meeting_id=row.meeting_id,
            state=row.state,
            node=self.nodes.get(node_id),
            internal_meeting_id=row.internal_meeting_id,
            unreachable_for=self._unreachable.get(node_id),
        )

    def to_be_closed(self, known: ServerMeeting) -> bool:
        """Whether a poll had to end a meeting that no client knows: it was made by the only create of its row.

        BBB's own time limit ends the others: made by a repeated create without an answer, on a row that ends at that
        moment; on a node that is removed; or not to be distinguished from, or mistaken for, a removed node's meeting.
        """
        row = self.table.row(self.servers.created_for[known])
        namesakes = [each for each in self.table.rows if each.internal_meeting_id == known[1]]
        on_nodes = all(self.table.node_of(each) is not None for each in (row, *namesakes))
        return self.table.sent[row.id] == 1 and on_nodes and row.internal_meeting_id in (None, known[1])


def wanted(meeting_id: str = "course-1", tenant_id: int = 1) -> Wanted:
    return Wanted(
        tenant_id=tenant_id,
        meeting_id=meeting_id,
        parameters=Parameters.of([("meetingID", meeting_id)]),
    )
