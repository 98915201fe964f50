"""The life of a meeting (creating, running, then ended or lost), and what its rules need from the stores and nodes."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, NamedTuple, Protocol

from balancer.core.node_call import CREATE_TIMES, Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, ValidationError


class State(StrEnum):
    """The state of a row in table meetings. The first two are live: a tenant's meetingID has at most one live row."""

    CREATING = "creating"  #: its node is being asked; no client knows of it yet
    RUNNING = "running"
    ENDED = "ended"  #: its node said so
    LOST = "lost"  #: its node may still have it


@dataclass(frozen=True)
class Upload:
    """An XML body, which can be sent more than once."""

    open: Callable[[], IO[bytes]]  #: reads from the first byte
    size: int


@dataclass(frozen=True, kw_only=True)
class LiveMeeting:
    """A live row of table meetings, and its node as PostgreSQL knew it at that moment."""

    id: int
    tenant_id: int
    meeting_id: str
    state: State
    node: Node | None  #: None: the node was removed
    internal_meeting_id: str | None = None
    unreachable_for: float | None = None  #: seconds since the node became unreachable; None: it is not


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The meeting that a create asks for."""

    tenant_id: int
    meeting_id: str
    parameters: Parameters
    upload: Upload | None = None
    recorded: bool = False

    @property
    def parent(self) -> str:
        """Either ID of its parent meeting; "" unless it is a breakout room."""
        return self.parameters.text("parentMeetingID") if self.parameters.flag("isBreakout") else ""


class Identity(NamedTuple):
    """What distinguishes a meeting from all others on its node."""

    internal_meeting_id: str
    create_time: int  #: milliseconds since 1970, the node's clock


class MeetingStore(Protocol):
    """What the rules need of table meetings. Every method raises StorageUnavailableError."""

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[LiveMeeting, bool]:
        """The live row, or a new one in state creating on the best node; whether it is new.

        refused: ids of nodes that may not be chosen. Raises NoNodeAvailableError.
        """

    def move(
        self, meeting: LiveMeeting, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[LiveMeeting, bool]:
        """As ``place``, and in the same transaction the existing row becomes lost.

        Raises NoNodeAvailableError if no node is fit; the row then stays as it is.
        """

    def settle(self, meeting: LiveMeeting, reported: Identity, initial_listing: str = "") -> bool:
        """Make the rows agree with the meeting that the node reported, in one transaction (core.create_outcome).

        initial_listing: core.meeting_list's, if the node has just created the meeting; used until the next poll.
        False if the meeting may not be handed out, or if the rows have changed since.
        """

    def finish(self, meeting: LiveMeeting, state: State, cause: str) -> bool:
        """End or lose the row. False if it had already changed."""

    def mostly_unreachable(self) -> bool:
        """Whether so many nodes are unreachable that our own network is probably at fault."""


class NodeCalls(Protocol):
    """What the rules need of nodes. Raises what balancer.nodes.client raises."""

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer: ...

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer: ...


def identity(answer: Answer) -> Identity:
    """The meeting in an answer to create or getMeetingInfo. Raises NodeError if the answer names none."""
    internal, created = answer.text("internalMeetingID").strip(), answer.text("createTime").strip()
    if not internal or not (created.isascii() and created.isdigit()) or int(created[:18]) not in CREATE_TIMES:
        raise NodeError("the node's answer has no internalMeetingID or no createTime")
    return Identity(internal, int(created[:18]))


def meeting_id(parameters: Parameters) -> str:
    """The meetingID in a call other than create. Raises ValidationError, as BBB's MeetingIDConstraint does."""
    named = parameters.single("meetingID")
    if not named:
        raise ValidationError("You must provide a meeting ID", "missingParamMeetingID")
    return named


def check_size(named: str) -> None:
    """Raises ValidationError if BBB would find the meetingID too short or too long. Java counts UTF-16 units."""
    if not 2 <= len(named.encode("utf-16-le")) // 2 <= 256:
        raise ValidationError("Meeting ID must be between 2 and 256 characters", "sizeError")


def new_meeting_id(parameters: Parameters) -> str:
    """The meetingID in a create. Raises ValidationError, as bbb-web's CreateMeeting, which cleans no ID."""
    named = meeting_id(parameters)
    if not parameters.untouched("meetingID") or "\N{REPLACEMENT CHARACTER}" in named:
        raise ValidationError("Invalid meeting ID")
    check_size(named)
    if "," in named:
        raise ValidationError("Meeting ID cannot contain ','")
    return named
