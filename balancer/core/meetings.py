"""A meeting's life: creating, running, then ended or lost; and what its rules need from stores and nodes."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, NamedTuple, Protocol

from balancer.core.node_call import CREATE_TIMES, Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, ValidationError


class State(StrEnum):
    """The life of a row in table meetings. The first two are live: one of them at most for a tenant's meetingID."""

    CREATING = "creating"  #: its node is being asked; nobody was told of it yet
    RUNNING = "running"
    ENDED = "ended"  #: its node said so
    LOST = "lost"  #: its node may still have it


@dataclass(frozen=True)
class Upload:
    """An XML body, which can be sent more than once."""

    open: Callable[[], IO[bytes]]  #: from its first byte
    size: int


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A live meeting's row, and its node as PostgreSQL knows it at that moment."""

    id: int
    tenant_id: int
    meeting_id: str
    state: State
    node: Node | None  #: None: the node was removed
    internal_meeting_id: str | None = None
    unreachable_for: float | None = None  #: seconds for which the node is known to be unreachable


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A meeting that somebody wants to have."""

    tenant_id: int
    meeting_id: str
    parameters: Parameters
    upload: Upload | None = None
    recorded: bool = False

    @property
    def parent(self) -> str:
        """Either ID of the meeting that it is to be a breakout room of; "" where it is none."""
        return self.parameters.text("parentMeetingID") if self.parameters.flag("isBreakout") else ""


class Identity(NamedTuple):
    """What makes a meeting on a node this one and no other."""

    internal_meeting_id: str
    create_time: int  #: milliseconds since 1970, the node's clock


class MeetingStore(Protocol):
    """What the rules need of table meetings. Every method raises StorageUnavailableError."""

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[Placement, bool]:
        """The live row, or a new one in state creating on the best node, and whether it is new.

        refused: node ids that will not do. Raises NoNodeAvailableError.
        """

    def move(
        self, placement: Placement, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[Placement, bool]:
        """As ``place``, and in the same transaction the row that is there is lost.

        Where no node is fit NoNodeAvailableError is raised, and that row stays as it is.
        """

    def settle(self, placement: Placement, found: Identity, birth: str = "") -> bool:
        """Its node answered with this meeting: make the rows say so, in one transaction (core.settlement).

        birth: core.listing's, where it was created a moment ago: getMeetings lists it by that until a poll tells more.
        False where the meeting may not be handed out, or the rows have moved on.
        """

    def finish(self, placement: Placement, state: State, cause: str) -> bool:
        """The row is live no more; False where it had already changed."""

    def mostly_unreachable(self) -> bool:
        """Whether so many nodes are unreachable that the fault is rather ours."""


class NodeCalls(Protocol):
    """What the rules need of nodes. Errors as balancer.node_client's."""

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer: ...

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer: ...


def identity(answer: Answer) -> Identity:
    """Of a create or getMeetingInfo answer. Raises NodeError where it has none."""
    internal, created = answer.text("internalMeetingID").strip(), answer.text("createTime").strip()
    if not internal or not (created.isascii() and created.isdigit()) or int(created[:18]) not in CREATE_TIMES:
        raise NodeError("the node's answer has no internalMeetingID or no createTime")
    return Identity(internal, int(created[:18]))


def meeting_id(parameters: Parameters) -> str:
    """The meetingID that a call other than create names. Raises ValidationError, as BBB's MeetingIDConstraint."""
    named = parameters.single("meetingID")
    if not named:
        raise ValidationError("You must provide a meeting ID", "missingParamMeetingID")
    return named


def check_size(named: str) -> None:
    """Raises ValidationError for a meetingID that BBB finds too short or too long: Java counts in units of UTF-16."""
    if not 2 <= len(named.encode("utf-16-le")) // 2 <= 256:
        raise ValidationError("Meeting ID must be between 2 and 256 characters", "sizeError")


def new_meeting_id(parameters: Parameters) -> str:
    """The meetingID of a create. Raises ValidationError (bbb-web's CreateMeeting; it refuses what it would clean)."""
    named = meeting_id(parameters)
    if not parameters.untouched("meetingID") or "\N{REPLACEMENT CHARACTER}" in named:
        raise ValidationError("Invalid meeting ID")
    check_size(named)
    if "," in named:
        raise ValidationError("Meeting ID cannot contain ','")
    return named
