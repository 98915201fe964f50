"""Nodes, rows and an order of events, all in memory: the test bed for the rules of create.

The store implements core.meetings.MeetingStore with core.create_outcome, as the real one does. A schedule runs several
actors, one step at a time, in an order that its seed decides: between any two calls to the store or to a node anything
may happen.
"""

import dataclasses
from collections.abc import Collection, Sequence
from xml.etree.ElementTree import Element, SubElement

from balancer.core.create_outcome import LockedRow, Step, settle
from balancer.core.meetings import Identity, LiveMeeting, State, Upload, Wanted
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError, NoNodeAvailableError
from tests.unit.core.schedule import Schedule

TENANT = 1


def server(node_id: int) -> int:
    """The machine behind a node. Registered again, it gets a new id with the same last digit."""
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
        self.rows: list[LockedRow] = []
        self.places: dict[int, int] = {}  #: node id by row, even if that node was removed
        self.unreachable: dict[int, float] = {}
        #: Server -> the error that its answers become, and whether it carries out the call first.
        self.faults: dict[int, tuple[NodeError, bool]] = {}
        self.refusals: dict[int, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.causes: list[str] = []
        #: internalMeetingIDs of meetings that were created on a node out of service.
        self.created_out_of_service: set[str] = set()
        self._time = 1000

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
        self.schedule.step()
        there = self.live_meeting(wanted.tenant_id, wanted.meeting_id)
        if there and (there.id, there.state) != (meeting.id, meeting.state):
            return there, False
        node_id = self._choose(wanted, refused)
        if there:
            self.change_row(self.row(there.id), state=State.LOST)
            self.causes.append(cause)
        return self._reserve(wanted, node_id), True

    def _choose(self, wanted: Wanted, refused: Collection[int]) -> int:
        fit = [
            node
            for node in self.nodes.values()
            if node.admin_state is AdminState.ENABLED
            and node.id not in refused
            and node.id not in self.unreachable
            and self.has_been_polled(node.id)
            and not self._foreign(
                node.id, wanted.tenant_id, wanted.meeting_id, State.CREATING, State.RUNNING, State.LOST
            )
        ]
        if not fit:
            raise NoNodeAvailableError
        return min(fit, key=lambda node: (len(self.meetings[server(node.id)]), node.id)).id

    def has_been_polled(self, node_id: int) -> bool:
        return True

    def _reserve(self, wanted: Wanted, node_id: int) -> LiveMeeting:
        row = LockedRow(
            id=len(self.rows) + 1,
            tenant_id=wanted.tenant_id,
            meeting_id=wanted.meeting_id,
            state=State.CREATING,
            internal_meeting_id=None,
            create_time=None,
            handed_out=False,
        )
        self.add_row(row, node_id)
        return self._meeting(row)

    def settle(self, meeting: LiveMeeting, found: Identity, initial_listing: str = "") -> bool:
        self.schedule.step()
        row = self.row(meeting.id)
        assert meeting.node
        namesake = self.namesake(row, found, meeting.node.id)
        step = settle(row, namesake, found, enabled=self.is_enabled(meeting.node.id))
        done = self._take(step, row, namesake, found)
        return step.hands_out and done

    def finish(self, meeting: LiveMeeting, state: State, cause: str) -> bool:
        self.schedule.step()
        row = self.row(meeting.id)
        if row.state is not meeting.state:
            return False
        self.change_row(row, state=state)
        self.causes.append(cause)
        return True

    def is_enabled(self, node_id: int) -> bool:
        """Whether the node takes new meetings; a removed one does not."""
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
        found = self.find(node, parameters.text("meetingID"))
        if found and name == "end" and carried_out:
            self._end(node, found)
        self.schedule.step()
        if error:
            raise error
        return _answer(found, node) if found else _failure("notFound")

    def find(self, node: Node, named: str) -> Identity | None:
        """By either ID."""
        held = self.meetings[server(node.id)]
        return held.get(named) or next((each for each in held.values() if each.internal_meeting_id == named), None)

    def _end(self, node: Node, found: Identity) -> None:
        held = self.meetings[server(node.id)]
        self.meetings[server(node.id)] = {name: each for name, each in held.items() if each != found}

    # What other actors do.

    def set_state(self, node_id: int, state: AdminState) -> None:
        self.schedule.step()
        if node := self.nodes.get(node_id):
            self.nodes[node_id] = dataclasses.replace(node, admin_state=state)

    def forget(self, node_id: int) -> None:
        """The node restarts."""
        self.schedule.step()
        self.meetings[node_id].clear()

    def row(self, number: int) -> LockedRow:
        return self.rows[number - 1]

    def states(self) -> list[tuple[str, str]]:
        found = []
        for row in self.rows:
            place = self.node_of(row)
            found.append((self.nodes[place].name if place else "", row.state.value))
        return found

    def node_of(self, row: LockedRow) -> int | None:
        """The row's node; None if it was removed."""
        return self.places[row.id] if self.places[row.id] in self.nodes else None

    def live_meeting(self, tenant_id: int, meeting_id: str) -> LiveMeeting | None:
        rows = [row for row in self.rows if (row.tenant_id, row.meeting_id) == (tenant_id, meeting_id) and row.live]
        return self._meeting(rows[0]) if rows else None

    def _meeting(self, row: LockedRow) -> LiveMeeting:
        place = self.node_of(row)
        return LiveMeeting(
            id=row.id,
            tenant_id=row.tenant_id,
            meeting_id=row.meeting_id,
            state=row.state,
            node=self.nodes[place] if place else None,
            internal_meeting_id=row.internal_meeting_id,
            unreachable_for=self.unreachable.get(place or 0),
        )

    def _take(self, step: Step, row: LockedRow, namesake: LockedRow | None, found: Identity) -> bool:
        if step is Step.REFUSE and row.live:
            self.change_row(row, state=State.ENDED)
        elif step is Step.DISOWN:
            self.change_row(row, state=State.LOST)
        elif step is Step.BEGIN:
            return self.begin(row, found)
        elif step is Step.TAKE_BACK and namesake:
            self.change_row(row, state=State.ENDED)
            return self.begin(namesake, found)
        elif step in (Step.SUCCEED, Step.DISOWN_SUCCESSOR):
            if row.state is not State.ENDED:
                self.change_row(row, state=State.ENDED)
            new = dataclasses.replace(
                row,
                id=len(self.rows) + 1,
                state=State.LOST,
                internal_meeting_id=None,
                create_time=None,
                handed_out=False,
            )
            self.add_row(new, self.places[row.id])
            return step is Step.DISOWN_SUCCESSOR or self.begin(new, found)
        return True

    def namesake(self, row: LockedRow, found: Identity, node_id: int) -> LockedRow | None:
        """The other row that the node's meeting belongs to, or may belong to if that row's node was removed."""
        named = [each for each in reversed(self.rows) if each.internal_meeting_id == found.internal_meeting_id]
        return next((each for each in named if each.id != row.id and self.may_be_the_same(each, row, node_id)), None)

    def may_be_the_same(self, other: LockedRow, row: LockedRow, node_id: int) -> bool:
        place = self.node_of(other)
        return place == node_id or (place is None and (other.tenant_id != row.tenant_id or not other.handed_out))

    def begin(self, row: LockedRow, found: Identity) -> bool:
        there = self.live_meeting(row.tenant_id, row.meeting_id)
        foreign = self._foreign(self.node_of(row), row.tenant_id, row.meeting_id, State.CREATING, State.RUNNING)
        if foreign or (there and there.id != row.id):
            if row.state is State.ENDED and not row.handed_out:
                self.change_row(row, state=State.LOST)
            return False
        self.change_row(
            row,
            state=State.RUNNING,
            internal_meeting_id=found.internal_meeting_id,
            create_time=found.create_time,
            handed_out=True,
        )
        return True

    def _foreign(self, node_id: int | None, tenant_id: int, meeting_id: str, *states: State) -> bool:
        """Whether another tenant has a meeting of this ID there."""
        return any(
            row.meeting_id == meeting_id
            and row.tenant_id != tenant_id
            and node_id is not None
            and self.node_of(row) == node_id
            and row.state in states
            for row in self.rows
        )

    def add_row(self, row: LockedRow, node_id: int) -> None:
        self.rows.append(row)
        self.places[row.id] = node_id
        self.check()

    def change_row(self, row: LockedRow, **changes: object) -> None:
        self.rows[row.id - 1] = dataclasses.replace(self.row(row.id), **changes)  # type: ignore[arg-type]
        self.check()

    def _create(self, node: Node, parameters: Parameters) -> Answer:
        meeting_id = parameters.text("meetingID")
        if key := self.refusals.get(server(node.id)):
            return _failure(key)
        if there := self.meetings[server(node.id)].get(meeting_id):
            return _answer(there, node, "duplicateWarning")
        self._time = self._create_time(node.id)
        new = Identity(f"{meeting_id}-{self._time}", self._time)
        self.meetings[server(node.id)][meeting_id] = new
        if not self.is_enabled(node.id):
            self.created_out_of_service.add(new.internal_meeting_id)
        return _answer(new, node)

    def _create_time(self, node_id: int) -> int:
        """Milliseconds since 1970, later than all before."""
        return self._time + 1

    def check(self) -> None:
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
    """BBB's answer, and the node that gave it, for the checks."""
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
