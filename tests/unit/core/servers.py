"""The machines behind the nodes: their meetings, clocks and faults, and what clients know of the meetings."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from xml.etree.ElementTree import Element, SubElement

from balancer.core.meetings import Identity, identity
from balancer.core.node_call import Answer, SeenMeeting
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from tests.unit.core.schedule import BEGIN, Schedule

#: A meeting: its server's number, and its internalMeetingID there.
ServerMeeting = tuple[int, str]

UNREACHABLE = NodeUnreachableError("refused")
SLOW = NodeTimeoutError("no answer within 1 s")
GARBAGE = NodeError("the node's answer is not XML")

#: A meeting without users as a node lists it.
EMPTY_MEETING = SeenMeeting(
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
#: Probability, at each step, that an end is carried out.
_END_COMES = 0.1


def server(node_id: int) -> int:
    """The number of the machine behind a node. Registered again, it gets a new id with the same last digit."""
    return node_id % 10


class Servers:
    """The servers, by number. tick: resolution of their clocks, in milliseconds."""

    def __init__(self, schedule: Schedule, count: int, tick: int) -> None:
        self._schedule, self._tick = schedule, tick
        self.meetings: dict[int, dict[str, Identity]] = {number: {} for number in range(1, count + 1)}
        self.down: set[int] = set()
        #: The error that a server's answers become, and whether it carries out the call first.
        self.faults: dict[int, tuple[NodeError, bool]] = {}
        self.refusals: dict[int, str] = {}  #: messageKey of a server's answers to create
        self.late: list[tuple[Node, Parameters, int]] = []  #: creates, with their rows, carried out after a timeout
        self.ending: list[tuple[int, str, Identity]] = []  #: server and meetingID of meetings that end in a moment
        self.created_for: dict[ServerMeeting, int] = {}  #: row whose create made it
        self.created_elsewhere: set[ServerMeeting] = set()  #: by another client of the node
        self.users: set[ServerMeeting] = set()  #: with a user in it
        self.handed_out: set[ServerMeeting] = set()  #: a client knows it
        self.asked_to_end: set[ServerMeeting] = set()  #: by a front end or an operator
        self._last: dict[tuple[int, str], Identity] = {}  #: the latest meeting of a meetingID on a server
        self._clocks: Counter[int] = Counter()  #: createTime of the last meeting

    def create(self, node: Node, parameters: Parameters, row: int) -> Answer:
        """Carry out a create that was sent for a row."""
        number, meeting_id = server(node.id), parameters.text("meetingID")
        if key := self.refusals.get(number):
            return failure(key)
        if there := self.meetings[number].get(meeting_id):
            new, key = there, "duplicateWarning"
        else:
            created = self._create_time(number)
            new, key = Identity(f"{meeting_id}-{created}", created), ""
        self.meetings[number][meeting_id] = self._last[number, meeting_id] = new
        self.created_for.setdefault((number, new.internal_meeting_id), row)
        return success(new, node, key)

    def _create_time(self, number: int) -> int:
        """Milliseconds since 1970, later than all before."""
        ticked = int(self._schedule.now.timestamp() * 1000) // self._tick * self._tick
        self._clocks[number] = max(self._clocks[number] + 1, ticked)
        return self._clocks[number]

    def create_late(self) -> None:
        """Carry out the creates whose callers got a timeout."""
        while self.late:
            node, parameters, row = self.late.pop()
            if server(node.id) not in self.down:
                answer = self.create(node, parameters, row)
                self._schedule.note(f"node {node.id}: late create: {identity(answer)}")

    def create_elsewhere(self, number: int, meeting_id: str) -> None:
        """Another client of the node created a meeting there, long before."""
        meeting = Identity(f"{meeting_id}-0{number}", int((BEGIN - timedelta(minutes=1)).timestamp() * 1000))
        self.meetings[number][meeting_id] = self._last[number, meeting_id] = meeting
        self.created_elsewhere.add((number, meeting.internal_meeting_id))

    def _held(self, number: int) -> list[tuple[str, Identity, bool]]:
        """meetingIDs and meetings of a server, and whether each is ending."""
        held = [(name, found, False) for name, found in self.meetings[number].items()]
        return held + [(name, found, True) for here, name, found in self.ending if here == number]

    def find(self, number: int, named: str) -> Identity | None:
        """By either ID."""
        held = self._held(number)
        return next((found for name, found, _ in held if named in (name, found.internal_meeting_id)), None)

    def listed(self, number: int) -> list[SeenMeeting]:
        """The answer to getMeetings."""
        return [
            replace(
                EMPTY_MEETING,
                meeting_id=name,
                internal_meeting_id=found.internal_meeting_id,
                create_time=found.create_time,
                user_joined=(number, found.internal_meeting_id) in self.users,
                participants=int((number, found.internal_meeting_id) in self.users),
                forcibly_ended=ending,
            )
            for name, found, ending in self._held(number)
        ]

    def has(self, number: int, meeting_id: str, internal_meeting_id: str | None) -> bool:
        """Whether a server has a meeting, and has not created another in its place while that is ending."""
        last = self._last[number, meeting_id]
        held = [found for _, found, _ in self._held(number)]
        return last in held and last.internal_meeting_id == internal_meeting_id

    def end(self, number: int, internal_meeting_id: str) -> None:
        """The server accepts an end, and carries it out in a moment."""
        known = (number, internal_meeting_id)
        assert known in self.asked_to_end, f"ended although no one asked for that: {known}"
        self.ending += [
            (number, name, found)
            for name, found in self.meetings[number].items()
            if found.internal_meeting_id == internal_meeting_id
        ]
        self.remove(number, internal_meeting_id)

    def carry_out_ends(self) -> None:
        """At some steps, the oldest of the accepted ends is carried out."""
        if self.ending and self._schedule.random.random() < _END_COMES:
            self.ending.pop(0)

    def remove(self, number: int, internal_meeting_id: str) -> None:
        """The server ends a meeting."""
        self._schedule.note(f"node {number}: {internal_meeting_id} has ended")
        held = self.meetings[number]
        self.meetings[number] = {
            name: found for name, found in held.items() if found.internal_meeting_id != internal_meeting_id
        }

    def expire(self, number: int) -> None:
        """BBB itself ends meetings without users."""
        for found in list(self.meetings[number].values()):
            if (number, found.internal_meeting_id) not in self.users:
                self.remove(number, found.internal_meeting_id)

    def restart(self, number: int) -> None:
        """The server forgets everything."""
        self.meetings[number] = {}
        self.ending = [each for each in self.ending if each[0] != number]
        self.down.discard(number)


def success(meeting: Identity, node: Node, key: str = "") -> Answer:
    """BBB's answer, and the node that gave it, for the checks."""
    root = Element("response")
    for tag, text in (
        ("internalMeetingID", meeting.internal_meeting_id),
        ("createTime", str(meeting.create_time)),
        ("node", str(node.id)),
    ):
        SubElement(root, tag).text = text
    return Answer(True, key, "", root, b"")


def failure(key: str) -> Answer:
    return Answer(False, key, "", Element("response"), b"")
