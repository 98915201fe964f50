"""A world in which everything happens at once: nodes fail, restart, return, are removed and registered again.

Each change is checked as it is made against what must never happen (docs/explanation/design.md). polled_world.py has
what polls do to rows, actors.py has the actors.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent

from balancer.core.create_outcome import LockedRow
from balancer.core.health import Health
from balancer.core.meetings import Identity, LiveMeeting, State, Upload, Wanted, identity
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.core.parameters import Parameters
from balancer.errors import NodeUnreachableError
from tests.unit.core.world import GARBAGE, UNREACHABLE, World, server

MOVE_AFTER = 180.0
_BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_STEP = timedelta(milliseconds=20)
#: Milliseconds of a tick of the nodes' clocks: now and then two of them use the same internalMeetingID.
_TICK = 500
#: Probability, at each step, that an end is carried out.
_END_COMES = 0.1

#: A meeting: its server, and its internalMeetingID there.
Known = tuple[int, str]


class Killed(BaseException):
    """A web worker died in the middle of a request."""


@dataclass(frozen=True)
class Times:
    """The times of a row."""

    placed: datetime
    created: datetime | None = None
    finished: datetime | None = None


class LivingWorld(World):
    """Nodes that come and go, and a clock."""

    def __init__(self, *names: str, seed: int) -> None:
        self.times: dict[int, Times] = {}
        self.leapt = timedelta(0)
        super().__init__(*names, seed=seed)
        self.random = self.schedule.random
        self.health: dict[int, Health] = {}
        self.down: set[int] = set()  #: servers
        self.late: list[tuple[Node, Parameters, int]] = []
        self.sent: Counter[int] = Counter()  #: creates, by row
        self.created_for: dict[Known, int] = {}  #: row whose create made it
        self.users: set[Known] = set()  #: with a user in it
        self.handed_out_meetings: set[Known] = set()  #: a client knows them
        self.asked_to_end: set[Known] = set()  #: by a front end or an operator
        self.created_elsewhere: set[Known] = set()  #: created behind the balancer's back
        self.ending: list[tuple[int, str, Identity]] = []  #: server and meetingID of meetings that end in a moment
        self.last: dict[tuple[int, str], Identity] = {}  #: the latest meeting of a meetingID on a server
        self.clocks: Counter[int] = Counter()  #: createTime of the last meeting, by server
        self.registered = len(self.nodes)  #: registrations of nodes so far
        self.clients = 0
        self.doomed: set[object] = set()  #: actors that die at one of their steps
        self._mostly: dict[object, bool] = {}
        self._silent: dict[object, int] = {}  #: node that did not answer when it was last asked, by actor
        self.story: list[str] = []

    @property
    def now(self) -> datetime:
        return _BEGIN + self.leapt + self.schedule.steps * _STEP

    def step(self) -> None:
        """As the schedule's. Here workers die, and nodes carry out the ends that they accepted."""
        self.schedule.step()
        if self.ending and self.random.random() < _END_COMES:
            self.ending.pop(0)
        if getcurrent() in self.doomed and self.random.random() < 0.3:
            raise Killed

    def leap(self, seconds: float) -> None:
        """Let time pass in which nothing happens, unless a request is under way: none takes that long."""
        if not self.clients:
            self.leapt += timedelta(seconds=seconds)
            self._note_unreachable()

    def note(self, event: str) -> None:
        """Add to the story that is printed if the schedule fails."""
        self.story.append(f"{self.schedule.steps:4} {event}")

    # The store, checked.

    def add_row(self, row: LockedRow, node_id: int) -> None:
        if row.state is State.CREATING:
            self._assert_in_service(node_id, row)
        elif row.state is State.LOST:
            self.times[row.id] = Times(self.now - timedelta(seconds=20), None, self.now)
            self.sent[row.id] += 1  # the create that made it was sent with the previous row
        self.times.setdefault(row.id, Times(self.now))
        self.note(f"row {row.id}: {row.state} for tenant {row.tenant_id}'s {row.meeting_id} on node {node_id}")
        super().add_row(row, node_id)

    def change_row(self, row: LockedRow, **changes: object) -> None:
        before = self.row(row.id)
        super().change_row(row, **changes)
        after = self.row(row.id)
        self.note(f"row {row.id}: {before.state} -> {after.state} {after.internal_meeting_id}")
        if after.state is before.state:
            return
        times, node_id = self.times[row.id], self.places[row.id]
        if after.state is State.RUNNING:
            if not before.handed_out:
                self._assert_in_service(node_id, after)
            self.times[row.id] = replace(times, created=times.created or self.now, finished=None)
            return
        self.times[row.id] = replace(times, finished=self.now)
        if after.state is State.ENDED and before.handed_out:
            assert not self._still_has(server(node_id), before), f"forgotten while its node has it: {before}"

    def check(self) -> None:
        super().check()
        homeless = [row for row in self.rows if row.live and self.node_of(row) is None]
        assert not homeless, f"live although its node was removed: {homeless}"

    def _assert_in_service(self, node_id: int, row: LockedRow) -> None:
        assert self.is_enabled(node_id), f"a new meeting on a node out of service: {row}"

    def finish(self, meeting: LiveMeeting, state: State, cause: str) -> bool:
        moved_by_halves = state is State.LOST and meeting.state is State.RUNNING
        assert not moved_by_halves, f"lost although no other node has taken it: {cause}"
        return super().finish(meeting, state, cause)

    def move(
        self, meeting: LiveMeeting, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[LiveMeeting, bool]:
        assert meeting.node
        assert (meeting.unreachable_for or 0) >= MOVE_AFTER, f"lost although its node may be there: {cause}"
        assert self._mostly.pop(getcurrent(), None) is False, "lost although most nodes may be away"
        assert self._silent.pop(getcurrent(), None) == meeting.node.id, "lost although its node was not asked"
        return super().move(meeting, wanted, refused, cause)

    def mostly_unreachable(self) -> bool:
        found = self._mostly[getcurrent()] = super().mostly_unreachable()
        return found

    # Nodes.

    def node_at(self, number: int) -> Node | None:
        """The node as which a server is registered."""
        return next((node for node in self.nodes.values() if server(node.id) == number), None)

    def remove_node(self, node: Node) -> None:
        """In one transaction, as `balancer node remove`."""
        self.lose_all(node.id)
        del self.nodes[node.id]
        self.health.pop(node.id, None)
        self._note_unreachable()
        self.check()

    def lose_all(self, node_id: int) -> None:
        for row in self.rows:
            if row.live and self.node_of(row) == node_id:
                self.change_row(row, state=State.LOST)

    def register(self, number: int, state: AdminState) -> None:
        self.registered += 1
        node_id = self.registered * 10 + number
        name = "abc"[number - 1]
        self.nodes[node_id] = Node(id=node_id, name=name, url=f"https://{name}/", secret="secret", admin_state=state)

    def has_been_polled(self, node_id: int) -> bool:
        return node_id in self.health

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        self.step()
        row = self._row_of(node.id, parameters)
        self.sent[row] += 1
        if server(node.id) in self.down:
            raise UNREACHABLE
        error, carried_out = self.faults.get(server(node.id), (None, True))
        if error and not carried_out and self.random.random() < 0.5:
            self.late.append((node, parameters, row))
        answer = self._create(node, parameters) if carried_out else None
        self.note(f"node {node.id}: create {parameters.text('meetingID')}: {error} {answer and identity(answer)}")
        if answer:
            self.created_for.setdefault((server(node.id), identity(answer).internal_meeting_id), row)
        self.step()
        if error or server(node.id) in self.down:
            raise error or GARBAGE
        assert answer
        return answer

    def _row_of(self, node_id: int, parameters: Parameters) -> int:
        named = parameters.text("meetingID")
        return max(row.id for row in self.rows if row.meeting_id == named and self.places[row.id] == node_id)

    def to_be_closed(self, known: Known) -> bool:
        """Whether a poll had to end a meeting that no client knows: it was made by the only create of its row.

        BBB's own time limit ends the others: made by a repeated create without an answer, on a row that ends at that
        moment; on a node that is removed; or not to be distinguished from, or mistaken for, a removed node's meeting.
        """
        row = self.row(self.created_for[known])
        namesakes = [each for each in self.rows if each.internal_meeting_id == known[1]]
        on_nodes = all(self.node_of(each) is not None for each in (row, *namesakes))
        return self.sent[row.id] == 1 and on_nodes and row.internal_meeting_id in (None, known[1])

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        self.step()
        self._silent[getcurrent()] = node.id
        if server(node.id) in self.down:
            raise NodeUnreachableError("refused")
        answer = super().call(node, name, parameters, upload)
        del self._silent[getcurrent()]
        return answer

    def _create(self, node: Node, parameters: Parameters) -> Answer:
        answer = super()._create(node, parameters)
        self.last[server(node.id), parameters.text("meetingID")] = identity(answer)
        return answer

    def find(self, node: Node, named: str) -> Identity | None:
        return super().find(node, named) or next(
            (
                found
                for number, name, found in self.ending
                if number == server(node.id) and named in (name, found.internal_meeting_id)
            ),
            None,
        )

    def _end(self, node: Node, found: Identity) -> None:
        self.end(server(node.id), found.internal_meeting_id)

    def end(self, number: int, internal_meeting_id: str) -> None:
        """The server accepts an end, and carries it out in a moment."""
        known = (number, internal_meeting_id)
        assert known in self.asked_to_end, f"ended although no one asked for that: {known}"
        self.ending += [
            (number, name, found)
            for name, found in self.meetings[number].items()
            if found.internal_meeting_id == internal_meeting_id
        ]
        self.remove(*known)

    def _create_time(self, node_id: int) -> int:
        ticked = int(self.now.timestamp() * 1000) // _TICK * _TICK
        clock = server(node_id)
        self.clocks[clock] = max(self.clocks[clock] + 1, ticked)
        return self.clocks[clock]

    def create_behind_our_back(self, number: int, meeting_id: str) -> None:
        """Another client of the node created a meeting there, long before."""
        meeting = Identity(f"{meeting_id}-0{number}", int((_BEGIN - timedelta(minutes=1)).timestamp() * 1000))
        self.meetings[number][meeting_id] = self.last[number, meeting_id] = meeting
        self.created_elsewhere.add((number, meeting.internal_meeting_id))

    def remove(self, number: int, internal_meeting_id: str) -> None:
        """The server ends a meeting."""
        self.note(f"node {number}: {internal_meeting_id} has ended")
        held = self.meetings[number]
        self.meetings[number] = {
            name: found for name, found in held.items() if found.internal_meeting_id != internal_meeting_id
        }

    def restart(self, number: int) -> None:
        """The server forgets everything."""
        self.meetings[number] = {}
        self.ending = [each for each in self.ending if each[0] != number]
        self.down.discard(number)

    def carry_out_late(self) -> None:
        while self.late:
            node, parameters, row = self.late.pop()
            if server(node.id) not in self.down:
                meeting = identity(self._create(node, parameters))
                self.note(f"node {node.id}: late create: {meeting}")
                self.created_for.setdefault((server(node.id), meeting.internal_meeting_id), row)

    # What is observed of nodes.

    def observed(self, node_id: int) -> ObservedState:
        health = self.health.get(node_id)
        return health.state if health else ObservedState.UNKNOWN

    def observe(self, node_id: int, health: Health) -> None:
        """Record a node's health, unless the node was removed."""
        if node_id in self.nodes:
            self.health[node_id] = health
            self._note_unreachable()

    def _note_unreachable(self) -> None:
        self.unreachable = {
            node_id: (self.now - health.since).total_seconds()
            for node_id, health in self.health.items()
            if health.state is ObservedState.UNREACHABLE
        }

    def _still_has(self, number: int, row: LockedRow) -> bool:
        """Whether a server has the row's meeting, and has not created another in its place while that is ending."""
        there = [found for here, _, found in self.ending if here == number] + list(self.meetings[number].values())
        last = self.last[number, row.meeting_id]
        return last in there and last.internal_meeting_id == row.internal_meeting_id
