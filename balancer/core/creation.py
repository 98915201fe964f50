"""create = get or create: exactly one meeting for a tenant's meetingID, whatever nodes, rivals and operators do.

Each step is one call to the store or to a node, and after each the world may have changed; so every step states what it
relies on, and where that no longer holds the whole is looked at afresh.
"""

from dataclasses import dataclass, field

from balancer.core.listing import birth
from balancer.core.meetings import (
    MeetingStore,
    NodeCalls,
    Placement,
    State,
    Wanted,
    identity,
)
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.errors import BBBError, NodeError, NodeTimeoutError, NodeUnreachableError, NoNodeAvailableError

#: Looks at the world before a create gives up; a rival or a dead node costs one each.
_LOOKS = 8
#: Nodes that one create waits for in vain.
_TIMEOUTS = 2


@dataclass(frozen=True, kw_only=True)
class Creation:
    """The rules of create, over one store and its nodes."""

    store: MeetingStore
    nodes: NodeCalls
    move_after: float  #: seconds that a node must be unreachable before its meetings may be placed anew

    def create(self, wanted: Wanted) -> Answer:
        """The answer of the node that has the meeting, success or BBB's own failure.

        Raises BBBError where there is none, NodeError where the meeting's node gives none, StorageUnavailableError.
        """
        attempt = _Attempt(wanted)
        for _ in range(_LOOKS):
            answer = self._look(attempt)
            if answer is not None:
                return answer
            if attempt.timeouts >= _TIMEOUTS:
                break
        raise NoNodeAvailableError("No server took the meeting. Please try again in a moment.")

    def _look(self, attempt: "_Attempt") -> Answer | None:
        placement, fresh = self.store.place(attempt.wanted, attempt.refused)
        if placement.node is None:
            self.store.finish(placement, State.LOST, "its node was removed")
            return None
        if placement.state is State.CREATING:
            return self._bear(attempt, placement, placement.node, fresh)
        if placement.unreachable_for is not None:
            return self._ask_or_move(attempt, placement, placement.node, placement.unreachable_for)
        if placement.node.admin_state is AdminState.ENABLED:
            return self._repeat(attempt.wanted, placement, placement.node)
        return self._repeat_without_birth(attempt.wanted, placement, placement.node)

    def _bear(self, attempt: "_Attempt", placement: Placement, node: Node, fresh: bool) -> Answer | None:
        """Have the node of a row in state creating create the meeting; rivals with the same row do the same."""
        if node.admin_state is not AdminState.ENABLED or placement.unreachable_for is not None:
            self.store.finish(placement, State.LOST, "its create was left unfinished on a node that is out of service")
            return None
        if node.id in attempt.refused:
            self.store.finish(placement, State.LOST, "its node did not answer another create either")
            return None
        try:
            answer = self.nodes.create(node, attempt.wanted.parameters, attempt.wanted.upload)
            confirmed = answer.success and self._settle(attempt.wanted, placement, answer)
        except NodeError as error:
            # Only this row's maker knows that nobody else's call may have had an effect there.
            harmless = fresh and isinstance(error, NodeUnreachableError)
            self.store.finish(placement, State.ENDED if harmless else State.LOST, f"create failed: {error}")
            attempt.failed(node, error)
            return None
        if not answer.success:
            return self._refused(attempt, placement, node, answer, fresh)
        if not confirmed:
            attempt.refused.add(node.id)
        return answer if confirmed else None

    def _settle(self, wanted: Wanted, placement: Placement, answer: Answer) -> bool:
        """Of a meeting that was there before, a rival's create or a poll tells how it is listed."""
        told = "" if answer.message_key == "duplicateWarning" else birth(wanted.parameters, answer)
        return self.store.settle(placement, identity(answer), told)

    def _refused(
        self, attempt: "_Attempt", placement: Placement, node: Node, answer: Answer, fresh: bool
    ) -> Answer | None:
        """The node said FAILED: the front end is told so, word for word."""
        if answer.message_key != "idNotUnique":
            if fresh:
                self.store.finish(placement, State.ENDED, f"its node refused: {answer.message_key}")
            return answer
        # It is there already, made by a rival with other passwords: the row is true, and nothing was refused to it.
        info = self.nodes.call(node, "getMeetingInfo", _only(placement.meeting_id))
        if info.success and not self.store.settle(placement, identity(info)):
            attempt.refused.add(node.id)
            return None
        return answer

    def _repeat(self, wanted: Wanted, placement: Placement, node: Node) -> Answer | None:
        """The meeting runs: its node answers, or bears it anew where it had ended."""
        answer = self.nodes.create(node, wanted.parameters, wanted.upload)
        if not answer.success:
            return answer
        if identity(answer).internal_meeting_id == placement.internal_meeting_id:
            return answer
        return answer if self._settle(wanted, placement, answer) else None

    def _repeat_without_birth(self, wanted: Wanted, placement: Placement, node: Node) -> Answer | None:
        """As _repeat, on a node that takes no new meetings: it is asked first whether it still has this one."""
        info = self.nodes.call(node, "getMeetingInfo", _only(placement.meeting_id))
        return self._repeat_as_told(wanted, placement, node, info)

    def _repeat_as_told(self, wanted: Wanted, placement: Placement, node: Node, info: Answer) -> Answer | None:
        """The meeting ran: what its node says of it decides whether it is asked for it."""
        if not info.success:
            if info.message_key != "notFound":
                raise NodeError(f"{node.name} answered getMeetingInfo with {info.message_key}")
            self.store.finish(placement, State.ENDED, "its node does not know it")
            return None
        if identity(info).internal_meeting_id != placement.internal_meeting_id:
            self.store.settle(placement, identity(info))
            return None
        return self._repeat(wanted, placement, node)

    def _ask_or_move(
        self, attempt: "_Attempt", placement: Placement, node: Node, unreachable_for: float
    ) -> Answer | None:
        """Place a meeting anew whose node has been away for long enough. Raises BBBError where it has not.

        The node is asked first: what is known of it is as old as its last poll, and maybe nobody polls.
        """
        if unreachable_for < self.move_after or self.store.mostly_unreachable():
            raise BBBError(
                "The server of this meeting cannot be reached at the moment. Please try again in a few minutes."
            )
        try:
            info = self.nodes.call(node, "getMeetingInfo", _only(placement.meeting_id))
        except NodeError as error:
            attempt.failed(node, error)
            return self._move(attempt, placement, f"its node was unreachable for {unreachable_for:.0f} s")
        return self._repeat_as_told(attempt.wanted, placement, node, info)

    def _move(self, attempt: "_Attempt", placement: Placement, cause: str) -> Answer | None:
        moved, fresh = self.store.move(placement, attempt.wanted, attempt.refused, cause)
        # Only what this very call reserved is this create's to bear; of anything else the next look tells more.
        return self._bear(attempt, moved, moved.node, fresh) if fresh and moved.node else None


@dataclass
class _Attempt:
    """What one create has learnt on its way."""

    wanted: Wanted
    refused: set[int] = field(default_factory=set)
    timeouts: int = 0

    def failed(self, node: Node, error: NodeError) -> None:
        self.refused.add(node.id)
        self.timeouts += isinstance(error, NodeTimeoutError)


def _only(meeting_id: str) -> Parameters:
    return Parameters.of([("meetingID", meeting_id)])
