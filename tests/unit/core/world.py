"""Nodes, rows and an order of events, all in memory: what the rules of create are proved against.

The store keeps the promises of core.meetings.MeetingStore with core.settlement, as the real one does. A schedule lets
several actors run, one step at a time, in an order that its seed decides: between any two calls to store or node
anything may happen.
"""

import dataclasses
from collections.abc import Collection, Sequence
from xml.etree.ElementTree import Element, SubElement

from balancer.core.meetings import Identity, Placement, State, Upload, Wanted
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.core.settlement import Row, Step, settle
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError, NoNodeAvailableError
from tests.unit.core.schedule import Schedule

TENANT = 1


def server(node_id: int) -> int:
    """The machine behind a node. Registered anew it has another id with the same last digit; no id comes twice."""
    return node_id % 10


class World:
    """A store, its nodes, and what happened there."""

    def __init__(self, *names: str, seed: int = 0) -> None:
        self.schedule = Schedule(seed)
        self.nodes = {
            number: Node(id=number, name=name, url=f"https://{name}/", secret="secret", admin_state=AdminState.ENABLED)
            for number, name in enumerate(names, 1)
        }
        self.meetings: dict[int, dict[str, Identity]] = {number: {} for number in self.nodes}  #: by server
        self.rows: list[Row] = []
        self.places: dict[int, int] = {}  #: node id by row, whatever became of that node
        self.unreachable: dict[int, float] = {}
        #: Server -> what it answers instead, and whether it does its duty first.
        self.faults: dict[int, tuple[NodeError, bool]] = {}
        self.refusals: dict[int, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.causes: list[str] = []
        #: internalMeetingIDs that were born on a node out of service.
        self.born_out_of_service: set[str] = set()
        self._time = 1000

    # The store.

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[Placement, bool]:
        self.schedule.step()
        there = self._live(wanted.tenant_id, wanted.meeting_id)
        if there:
            return there, False
        return self._reserve(wanted, self._best(wanted, refused)), True

    def move(
        self, placement: Placement, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[Placement, bool]:
        self.schedule.step()
        there = self._live(wanted.tenant_id, wanted.meeting_id)
        if there and (there.id, there.state) != (placement.id, placement.state):
            return there, False
        node_id = self._best(wanted, refused)
        if there:
            self._set(self.row(there.id), state=State.LOST)
            self.causes.append(cause)
        return self._reserve(wanted, node_id), True

    def _best(self, wanted: Wanted, refused: Collection[int]) -> int:
        fit = [
            node
            for node in self.nodes.values()
            if node.admin_state is AdminState.ENABLED
            and node.id not in refused
            and node.id not in self.unreachable
            and self._polled(node.id)
            and not self._foreign(
                node.id, wanted.tenant_id, wanted.meeting_id, State.CREATING, State.RUNNING, State.LOST
            )
        ]
        if not fit:
            raise NoNodeAvailableError
        return min(fit, key=lambda node: (len(self.meetings[server(node.id)]), node.id)).id

    def _polled(self, node_id: int) -> bool:
        return True

    def _reserve(self, wanted: Wanted, node_id: int) -> Placement:
        row = Row(
            id=len(self.rows) + 1,
            tenant_id=wanted.tenant_id,
            meeting_id=wanted.meeting_id,
            state=State.CREATING,
            internal_meeting_id=None,
            create_time=None,
            handed_out=False,
        )
        self._add(row, node_id)
        return self._placement(row)

    def settle(self, placement: Placement, found: Identity, birth: str = "") -> bool:
        self.schedule.step()
        row = self.row(placement.id)
        assert placement.node
        namesake = self._namesake(row, found, placement.node.id)
        step = settle(row, namesake, found, enabled=self._enabled(placement.node.id))
        done = self._take(step, row, namesake, found)
        return step.hands_out and done

    def finish(self, placement: Placement, state: State, cause: str) -> bool:
        self.schedule.step()
        row = self.row(placement.id)
        if row.state is not placement.state:
            return False
        self._set(row, state=state)
        self.causes.append(cause)
        return True

    def _enabled(self, node_id: int) -> bool:
        """Whether the node takes new meetings; one that was removed takes none."""
        node = self.nodes.get(node_id)
        return node is not None and node.admin_state is AdminState.ENABLED

    def mostly_unreachable(self) -> bool:
        self.schedule.step()
        return len(self.unreachable) * 2 > len(self.nodes)

    # The nodes.

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        self.schedule.step()
        self.calls.append((node.name, "create"))
        error, carried_out = self.faults.get(server(node.id), (None, True))
        answer = self._create(node, parameters) if carried_out else None
        self.schedule.step()
        if error:
            raise error
        assert answer
        return answer

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        self.schedule.step()
        self.calls.append((node.name, name))
        assert name in ("getMeetingInfo", "end")
        error, carried_out = self.faults.get(server(node.id), (None, True))
        found = self._found(node, parameters.text("meetingID"))
        if found and name == "end" and carried_out:
            self._end(node, found)
        self.schedule.step()
        if error:
            raise error
        return _answer(found, node) if found else _failure("notFound")

    def _found(self, node: Node, named: str) -> Identity | None:
        """By either ID."""
        held = self.meetings[server(node.id)]
        return held.get(named) or next((each for each in held.values() if each.internal_meeting_id == named), None)

    def _end(self, node: Node, found: Identity) -> None:
        held = self.meetings[server(node.id)]
        self.meetings[server(node.id)] = {name: each for name, each in held.items() if each != found}

    # What others do.

    def set_state(self, node_id: int, state: AdminState) -> None:
        self.schedule.step()
        if node := self.nodes.get(node_id):
            self.nodes[node_id] = dataclasses.replace(node, admin_state=state)

    def forget(self, node_id: int) -> None:
        """The node restarts."""
        self.schedule.step()
        self.meetings[node_id].clear()

    def row(self, number: int) -> Row:
        return self.rows[number - 1]

    def states(self) -> list[tuple[str, str]]:
        found = []
        for row in self.rows:
            place = self._place(row)
            found.append((self.nodes[place].name if place else "", row.state.value))
        return found

    def _place(self, row: Row) -> int | None:
        """The row's node; None where it was removed."""
        return self.places[row.id] if self.places[row.id] in self.nodes else None

    def _live(self, tenant_id: int, meeting_id: str) -> Placement | None:
        rows = [row for row in self.rows if (row.tenant_id, row.meeting_id) == (tenant_id, meeting_id) and row.live]
        return self._placement(rows[0]) if rows else None

    def _placement(self, row: Row) -> Placement:
        place = self._place(row)
        return Placement(
            id=row.id,
            tenant_id=row.tenant_id,
            meeting_id=row.meeting_id,
            state=row.state,
            node=self.nodes[place] if place else None,
            internal_meeting_id=row.internal_meeting_id,
            unreachable_for=self.unreachable.get(place or 0),
        )

    def _take(self, step: Step, row: Row, namesake: Row | None, found: Identity) -> bool:
        if step is Step.REFUSE and row.live:
            self._set(row, state=State.ENDED)
        elif step is Step.DISOWN:
            self._set(row, state=State.LOST)
        elif step is Step.BEGIN:
            return self._begin(row, found)
        elif step is Step.TAKE_BACK and namesake:
            self._set(row, state=State.ENDED)
            return self._begin(namesake, found)
        elif step in (Step.SUCCEED, Step.DISOWN_SUCCESSOR):
            if row.state is not State.ENDED:
                self._set(row, state=State.ENDED)
            new = dataclasses.replace(
                row,
                id=len(self.rows) + 1,
                state=State.LOST,
                internal_meeting_id=None,
                create_time=None,
                handed_out=False,
            )
            self._add(new, self.places[row.id])
            return step is Step.DISOWN_SUCCESSOR or self._begin(new, found)
        return True

    def _namesake(self, row: Row, found: Identity, node_id: int) -> Row | None:
        """The other row that the meeting on the node belongs to, or may on one that was removed."""
        named = [each for each in reversed(self.rows) if each.internal_meeting_id == found.internal_meeting_id]
        return next((each for each in named if each.id != row.id and self._is_beside(each, row, node_id)), None)

    def _is_beside(self, other: Row, row: Row, node_id: int) -> bool:
        place = self._place(other)
        return place == node_id or (place is None and (other.tenant_id != row.tenant_id or not other.handed_out))

    def _begin(self, row: Row, found: Identity) -> bool:
        there = self._live(row.tenant_id, row.meeting_id)
        foreign = self._foreign(self._place(row), row.tenant_id, row.meeting_id, State.CREATING, State.RUNNING)
        if foreign or (there and there.id != row.id):
            if row.state is State.ENDED and not row.handed_out:
                self._set(row, state=State.LOST)
            return False
        self._set(
            row,
            state=State.RUNNING,
            internal_meeting_id=found.internal_meeting_id,
            create_time=found.create_time,
            handed_out=True,
        )
        return True

    def _foreign(self, node_id: int | None, tenant_id: int, meeting_id: str, *states: State) -> bool:
        """Whether another tenant has a meeting of this id there."""
        return any(
            row.meeting_id == meeting_id
            and row.tenant_id != tenant_id
            and node_id is not None
            and self._place(row) == node_id
            and row.state in states
            for row in self.rows
        )

    def _add(self, row: Row, node_id: int) -> None:
        self.rows.append(row)
        self.places[row.id] = node_id
        self._check()

    def _set(self, row: Row, **changes: object) -> None:
        self.rows[row.id - 1] = dataclasses.replace(self.row(row.id), **changes)  # type: ignore[arg-type]
        self._check()

    def _create(self, node: Node, parameters: Parameters) -> Answer:
        meeting_id = parameters.text("meetingID")
        if key := self.refusals.get(server(node.id)):
            return _failure(key)
        if there := self.meetings[server(node.id)].get(meeting_id):
            return _answer(there, node, "duplicateWarning")
        self._time = self._create_time(node.id)
        born = Identity(f"{meeting_id}-{self._time}", self._time)
        self.meetings[server(node.id)][meeting_id] = born
        if not self._enabled(node.id):
            self.born_out_of_service.add(born.internal_meeting_id)
        return _answer(born, node)

    def _create_time(self, node_id: int) -> int:
        """Milliseconds since 1970, later than any before."""
        return self._time + 1

    def _check(self) -> None:
        live = [row for row in self.rows if row.live]
        named = {(row.tenant_id, row.meeting_id) for row in live}
        assert len(named) == len(live), f"two live rows of one meetingID: {self.rows}"
        on_nodes = {(self.places[row.id], row.meeting_id) for row in live}
        assert len(on_nodes) == len(live), f"two tenants on one node: {self.rows}"


def wanted(meeting_id: str = "course-1", tenant_id: int = TENANT) -> Wanted:
    return Wanted(
        tenant_id=tenant_id,
        meeting_id=meeting_id,
        parameters=Parameters.of([("meetingID", meeting_id)]),
    )


UNREACHABLE = NodeUnreachableError("refused")
SLOW = NodeTimeoutError("no answer within 1 s")
GARBAGE = NodeError("the node's answer is not XML")


def _answer(identity: Identity, node: Node, key: str = "") -> Answer:
    """BBB's, and which node gave it, for those who judge."""
    root = Element("response")
    for tag, text in (
        ("internalMeetingID", identity.internal_meeting_id),
        ("createTime", str(identity.create_time)),
        ("node", str(node.id)),
    ):
        SubElement(root, tag).text = text
    return Answer(True, key, "", root, b"")


def _failure(key: str) -> Answer:
    return Answer(False, key, "", Element("response"), b"")


def internal(answers: Sequence[Answer]) -> set[str]:
    return {answer.text("internalMeetingID") for answer in answers}
