"""A world in which everything goes on at once: clients, polls, operators, nodes that fail, restart and return.

Each change is checked at the moment it is made against what must never happen (docs/explanation/design.md). The store
applies a poll's findings under the conditions of storage/reconciliation.sql.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent

from balancer.core.creation import Creation
from balancer.core.health import Health, Thresholds, after_failure, after_pass, reconsidered
from balancer.core.meetings import Identity, Placement, State, Upload, Wanted, identity
from balancer.core.node_call import Answer, SeenMeeting
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.core.parameters import Parameters
from balancer.core.reconciliation import Findings, Listing, Placed, compare
from balancer.core.settlement import Row
from balancer.errors import BBBError, NodeError, NodeUnreachableError
from tests.unit.core.world import GARBAGE, UNREACHABLE, World, wanted

MOVE_AFTER = 180.0
GRACE = timedelta(seconds=28)
THRESHOLDS = Thresholds(fail=2, passes=1)
_BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_STEP = timedelta(milliseconds=20)
_NOBODY = SeenMeeting(
    meeting_id="",
    internal_meeting_id="",
    create_time=0,
    participants=0,
    voice=0,
    video=0,
    running=False,
    user_joined=False,
    forcibly_ended=False,
    breakout=False,
    parent_meeting_id="",
    xml="",
)


#: Milliseconds by which nodes' clocks go here: two of them come to the same internalMeetingID now and then.
_TICK = 500

#: A meeting: its node, and its internalMeetingID there.
Known = tuple[int, str]


class Killed(BaseException):
    """A web worker is gone in the middle of a request."""


@dataclass(frozen=True)
class Times:
    """What a row holds beside its state."""

    placed: datetime
    created: datetime | None = None
    finished: datetime | None = None


class LivingWorld(World):
    """Nodes that come and go, a clock, and the poller's part of the store."""

    def __init__(self, *names: str, seed: int) -> None:
        self.times: dict[int, Times] = {}
        self.leapt = timedelta(0)
        super().__init__(*names, seed=seed)
        self.random = self.schedule.random
        self.health: dict[int, Health] = {}
        self.down: set[int] = set()
        self.late: list[tuple[Node, Parameters, int]] = []
        self.sent: Counter[int] = Counter()  #: creates, by row
        self.born_of: dict[Known, int] = {}  #: row whose create bore it
        self.users: set[Known] = set()  #: somebody is in
        self.given_out: set[Known] = set()  #: told to a client
        self.asked_to_end: set[Known] = set()  #: by a front end or an operator
        self.strange: set[Known] = set()  #: created behind the balancer's back
        self.clocks: Counter[int] = Counter()  #: createTime of the last meeting, by node
        self.clients = 0
        self.doomed: set[object] = set()  #: actors that die at a step of theirs
        self._mostly: dict[object, bool] = {}
        self._silent: dict[object, int] = {}  #: node that gave no answer when it was last asked, by who asked
        self.story: list[str] = []

    @property
    def now(self) -> datetime:
        return _BEGIN + self.leapt + self.schedule.steps * _STEP

    def step(self) -> None:
        """As the schedule's; this is also where workers die."""
        self.schedule.step()
        if getcurrent() in self.doomed and self.random.random() < 0.3:
            raise Killed

    def leap(self, seconds: float) -> None:
        """Time passes in which nothing happens; a request of ours never takes that long."""
        if not self.clients:
            self.leapt += timedelta(seconds=seconds)
            self._note_unreachable()

    def note(self, event: str) -> None:
        """For whoever reads why a schedule failed."""
        self.story.append(f"{self.schedule.steps:4} {event}")

    # The store, checked.

    def _add(self, row: Row, node_id: int | None) -> None:
        assert node_id
        if row.state is State.CREATING:
            self._assert_in_service(node_id, row)
        elif row.state is State.LOST:
            self.times[row.id] = Times(self.now - timedelta(seconds=20), None, self.now)
            self.sent[row.id] += 1  # the create that bore it was sent with the row before
        self.times.setdefault(row.id, Times(self.now))
        self.note(f"row {row.id}: {row.state} for tenant {row.tenant_id}'s {row.meeting_id} on node {node_id}")
        super()._add(row, node_id)

    def _set(self, row: Row, **changes: object) -> None:
        before = self.row(row.id)
        super()._set(row, **changes)
        after = self.row(row.id)
        self.note(f"row {row.id}: {before.state} -> {after.state} {after.internal_meeting_id}")
        if after.state is before.state:
            return
        times, node_id = self.times[row.id], self.places[row.id]
        assert node_id
        if after.state is State.RUNNING:
            if not before.handed_out:
                self._assert_in_service(node_id, after)
            self.times[row.id] = replace(times, created=times.created or self.now, finished=None)
            return
        self.times[row.id] = replace(times, finished=self.now)
        if after.state is State.ENDED and before.handed_out:
            assert before.internal_meeting_id not in self._held(node_id), f"forgotten while its node has it: {before}"

    def _assert_in_service(self, node_id: int, row: Row) -> None:
        assert self.nodes[node_id].admin_state is AdminState.ENABLED, f"a new meeting on a node out of service: {row}"

    def finish(self, placement: Placement, state: State, cause: str) -> bool:
        moved_by_halves = state is State.LOST and placement.state is State.RUNNING
        assert not moved_by_halves, f"lost although no other node has taken it: {cause}"
        return super().finish(placement, state, cause)

    def move(
        self, placement: Placement, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[Placement, bool]:
        assert placement.node
        assert (placement.unreachable_for or 0) >= MOVE_AFTER, f"lost although its node may be there: {cause}"
        assert self._mostly.pop(getcurrent(), None) is False, "lost although most nodes may be away"
        assert self._silent.pop(getcurrent(), None) == placement.node.id, "lost although its node was not asked"
        return super().move(placement, wanted, refused, cause)

    def mostly_unreachable(self) -> bool:
        found = self._mostly[getcurrent()] = super().mostly_unreachable()
        return found

    def give_up(self, tenant_id: int, meeting_id: str) -> None:
        """`balancer meeting give-up`."""
        self.step()
        found = self._live(tenant_id, meeting_id)
        if found and found.node and self._observed(found.node.id) is not ObservedState.ONLINE:
            self._set(self.row(found.id), state=State.LOST)

    # Nodes.

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        self.step()
        row = self._row_of(node.id, parameters)
        self.sent[row] += 1
        if node.id in self.down:
            raise UNREACHABLE
        error, carried_out = self.faults.get(node.id, (None, True))
        if error and not carried_out and self.random.random() < 0.5:
            self.late.append((node, parameters, row))
        answer = self._create(node, parameters) if carried_out else None
        self.note(f"node {node.id}: create {parameters.text('meetingID')}: {error} {answer and identity(answer)}")
        if answer:
            self.born_of.setdefault((node.id, identity(answer).internal_meeting_id), row)
        self.step()
        if error or node.id in self.down:
            raise error or GARBAGE
        assert answer
        return answer

    def _row_of(self, node_id: int, parameters: Parameters) -> int:
        named = parameters.text("meetingID")
        return max(row.id for row in self.rows if row.meeting_id == named and self.places[row.id] == node_id)

    def only_one_knew(self, known: Known) -> bool:
        """Whether it was born by the one create that its row was ever sent with.

        What a repeated create bears that gets no answer, on a row that ends at that moment, is known to nobody: BBB's
        own grace time ends it.
        """
        row = self.born_of[known]
        return self.sent[row] == 1

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        self.step()
        self._silent[getcurrent()] = node.id
        if node.id in self.down:
            raise NodeUnreachableError("refused")
        answer = super().call(node, name, parameters, upload)
        del self._silent[getcurrent()]
        return answer

    def _create_time(self, node_id: int) -> int:
        ticked = int(self.now.timestamp() * 1000) // _TICK * _TICK
        self.clocks[node_id] = max(self.clocks[node_id] + 1, ticked)
        return self.clocks[node_id]

    def strangers_meeting(self, node_id: int, meeting_id: str) -> None:
        """Somebody had created it on the node itself, long before."""
        born = Identity(f"{meeting_id}-0{node_id}", int((_BEGIN - timedelta(minutes=1)).timestamp() * 1000))
        self.meetings[node_id][meeting_id] = born
        self.strange.add((node_id, born.internal_meeting_id))

    def remove(self, node_id: int, internal_meeting_id: str) -> None:
        """The node ends a meeting."""
        self.note(f"node {node_id}: {internal_meeting_id} is over")
        held = self.meetings[node_id]
        self.meetings[node_id] = {
            name: found for name, found in held.items() if found.internal_meeting_id != internal_meeting_id
        }

    def carry_out_late(self) -> None:
        while self.late:
            node, parameters, row = self.late.pop()
            if node.id not in self.down:
                born = identity(self._create(node, parameters))
                self.note(f"node {node.id}: late create: {born}")
                self.born_of.setdefault((node.id, born.internal_meeting_id), row)

    # The poller.

    def _observed(self, node_id: int) -> ObservedState:
        health = self.health.get(node_id)
        return health.state if health else ObservedState.UNKNOWN

    def observe(self, node_id: int, health: Health) -> None:
        self.health[node_id] = health
        self._note_unreachable()

    def _note_unreachable(self) -> None:
        self.unreachable = {
            node_id: (self.now - health.since).total_seconds()
            for node_id, health in self.health.items()
            if health.state is ObservedState.UNREACHABLE
        }

    def placed(self, node_id: int, listed: set[str]) -> list[Placed]:
        """rows_on_node."""
        return [
            self._placed(row)
            for row in self.rows
            if self.places[row.id] == node_id
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
            user_joined=(self.places[row.id], row.internal_meeting_id) in self.users,
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
            if row.state is State.LOST and row.internal_meeting_id == one.meeting.internal_meeting_id:
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
        if row.state is not State.CREATING or self._namesake(row, found):
            return
        node_id = self.places[row.id]
        assert node_id
        if self.nodes[node_id].admin_state is AdminState.ENABLED:
            self._begin(row, found)
        else:
            self._set(row, state=State.LOST)

    def _claim(self, row: Row, found: Identity) -> bool:
        if row.state is not State.LOST or self.times[row.id].created or self._namesake(row, found):
            return False
        if row.internal_meeting_id not in (None, found.internal_meeting_id):
            return False
        here = [other for other in self.rows if self.places[other.id] == self.places[row.id] and other.live]
        if any(other.meeting_id == row.meeting_id for other in here):
            return False
        self._set(row, internal_meeting_id=found.internal_meeting_id, create_time=found.create_time)
        return True

    def end_left_over(self, node_id: int, meeting: SeenMeeting) -> None:
        """The poller's own end, the one that nobody asked for: by internalMeetingID, after a last look."""
        internal = meeting.internal_meeting_id
        known = (node_id, internal)
        self.step()
        if node_id in self.down or known in self.users:
            return
        self.step()
        if node_id in self.down or internal not in self._held(node_id):
            return
        assert known not in self.given_out, f"ended although a client was told of it: {known}"
        assert known not in self.strange, f"ended although it is somebody else's: {known}"
        self.remove(node_id, internal)

    def _held(self, node_id: int) -> set[str]:
        return {found.internal_meeting_id for found in self.meetings[node_id].values()}


def _seen_identity(meeting: SeenMeeting) -> Identity:
    return Identity(meeting.internal_meeting_id, meeting.create_time)


class Poller:
    """A poller with its own memory, as node_watch.Watch goes about it; health is shared by way of the lease."""

    def __init__(self, world: LivingWorld) -> None:
        self._world = world
        self._listed: dict[int, frozenset[str]] = {}

    def poll(self, node_id: int) -> None:
        world, started = self._world, self._world.now
        world.step()
        if node_id in world.down:
            self._failed(node_id)
            return
        seen = self._seen(node_id)
        world.step()
        before = world.health.get(node_id)
        world.observe(node_id, after_pass(before, started=started, ended=world.now, thresholds=THRESHOLDS))
        self._reconsider()
        world.step()
        internal = {meeting.internal_meeting_id for meeting in seen}
        listing = Listing(
            node_id=node_id,
            poll_started=started,
            meetings=seen,
            listed_before=self._listed.get(node_id, frozenset()),
        )
        world.note(f"node {node_id}: listed {sorted(internal)}")
        findings = compare(world.placed(node_id, internal), listing, create_grace=GRACE)
        left_over = world.apply(findings, listing)
        gone = self._ask_for(node_id, findings.doubtful)
        world.step()
        world.end_running(gone, started)
        for meeting in left_over:
            world.end_left_over(node_id, meeting)
        self._listed[node_id] = frozenset(internal)

    def _seen(self, node_id: int) -> list[SeenMeeting]:
        world = self._world
        return [
            replace(
                _NOBODY,
                meeting_id=name,
                internal_meeting_id=found.internal_meeting_id,
                create_time=found.create_time,
                user_joined=(node_id, found.internal_meeting_id) in world.users,
                participants=int((node_id, found.internal_meeting_id) in world.users),
            )
            for name, found in world.meetings[node_id].items()
        ]

    def _failed(self, node_id: int) -> None:
        world = self._world
        sisters = [health for each, health in world.health.items() if each != node_id]
        before = world.health.get(node_id)
        health = after_failure(before, "connect", ended=world.now, thresholds=THRESHOLDS, sisters=sisters)
        world.observe(node_id, health)

    def _reconsider(self) -> None:
        world = self._world
        for node_id, health in list(world.health.items()):
            sisters = [other for each, other in world.health.items() if each != node_id]
            world.observe(node_id, reconsidered(health, now=world.now, thresholds=THRESHOLDS, sisters=sisters))

    def _ask_for(self, node_id: int, rows: list[Placed]) -> list[Placed]:
        gone = []
        for row in rows:
            self._world.step()
            if node_id in self._world.down:
                break
            found = self._world.meetings[node_id].get(row.meeting_id)
            if found is None or found.internal_meeting_id != row.internal_meeting_id:
                gone.append(row)
        return gone


class Client:
    """A front end and its users: create before every join."""

    def __init__(self, world: LivingWorld, tenant_id: int, meeting_id: str) -> None:
        self._world, self._tenant_id, self._meeting_id = world, tenant_id, meeting_id

    def create(self) -> str | None:
        """internalMeetingID of the meeting that the client is told of."""
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
        told = (int(answer.text("node")), answer.text("internalMeetingID"))
        known = [row for row in world.rows if (world.places[row.id], row.internal_meeting_id) == told]
        assert any(row.handed_out for row in known), f"handed out although no row knows it: {told}"
        assert {row.tenant_id for row in known} == {self._tenant_id}, f"another tenant's meeting was handed out: {told}"
        world.given_out.add(told)
        return told[1]

    def come(self) -> None:
        """create, and join where the row says."""
        if self.create() is not None and (reached := self._reached()):
            self._world.users.add(reached)

    def end(self) -> None:
        """The front end's end, passed on to the node."""
        if reached := self._reached():
            self._world.asked_to_end.add(reached)
            self._world.remove(*reached)

    def _reached(self) -> Known | None:
        """The node that the row says and the meeting's internal id there, where a call comes through to it."""
        world = self._world
        world.step()
        found = world._live(self._tenant_id, self._meeting_id)
        if found is None or found.node is None or found.state is not State.RUNNING:
            return None
        world.step()
        held = world.meetings[found.node.id].get(self._meeting_id)
        return (found.node.id, held.internal_meeting_id) if held and found.node.id not in world.down else None
