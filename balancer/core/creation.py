"""create = get or create: exactly one meeting for a tenant's meetingID, despite failing nodes and concurrent changes.

Each step is one call to the store or to a node, and after each the situation may have changed. So every step states
what it relies on, and if that no longer holds the create starts over.
"""

from dataclasses import dataclass, field

from balancer.core.meeting_list import initial_listing
from balancer.core.meetings import LiveMeeting, MeetingStore, NodeCalls, State, Wanted, identity
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.errors import BBBError, NodeError, NodeTimeoutError, NodeUnreachableError, NoNodeAvailableError

#: Attempts before a create gives up; a concurrent create or a dead node costs one each.
_ATTEMPTS = 8
#: Nodes that one create lets time out.
_TIMEOUTS = 2


@dataclass(frozen=True, kw_only=True)
class Creation:
    """The rules of create, over one store and its nodes."""

    store: MeetingStore
    nodes: NodeCalls
    move_after: float  #: seconds that a node must be unreachable before its meetings may be placed on another one

    def create(self, wanted: Wanted) -> Answer:
        """The answer of the node that has the meeting: success, or BBB's own failure.

        Raises BBBError if no node can have it, NodeError if its node does not answer, and StorageUnavailableError.
        """
        request = _Request(wanted)
        for _ in range(_ATTEMPTS):
            answer = self._try_once(request)
            if answer is not None:
                return answer
            if request.timeouts >= _TIMEOUTS:
                break
        raise NoNodeAvailableError("No server took the meeting. Please try again in a moment.")

    def _try_once(self, request: "_Request") -> Answer | None:
        meeting, new = self.store.place(request.wanted, request.refused)
        if meeting.node is None:
            self.store.finish(meeting, State.LOST, "its node was removed")
            return None
        if meeting.state is State.CREATING:
            return self._create_on_node(request, meeting, meeting.node, new)
        if meeting.unreachable_for is not None:
            return self._ask_or_move(request, meeting, meeting.node, meeting.unreachable_for)
        if meeting.node.admin_state is AdminState.ENABLED:
            return self._repeat(request.wanted, meeting, meeting.node)
        return self._repeat_if_still_there(request.wanted, meeting, meeting.node)

    def _create_on_node(self, request: "_Request", meeting: LiveMeeting, node: Node, new: bool) -> Answer | None:
        """Create the meeting of a row in state creating; concurrent creates that find the same row do so too."""
        if node.admin_state is not AdminState.ENABLED or meeting.unreachable_for is not None:
            self.store.finish(meeting, State.LOST, "its create was left unfinished on a node that is out of service")
            return None
        if node.id in request.refused:
            self.store.finish(meeting, State.LOST, "its node did not answer another create either")
            return None
        try:
            answer = self.nodes.create(node, request.wanted.parameters, request.wanted.upload)
            confirmed = answer.success and self._settle(request.wanted, meeting, answer)
        except NodeError as error:
            # Only the create that added the row knows that no other call can have had an effect on the node.
            harmless = new and isinstance(error, NodeUnreachableError)
            self.store.finish(meeting, State.ENDED if harmless else State.LOST, f"create failed: {error}")
            request.failed(node, error)
            return None
        if not answer.success:
            return self._refused(request, meeting, node, answer, new)
        if not confirmed:
            request.refused.add(node.id)
        return answer if confirmed else None

    def _settle(self, wanted: Wanted, meeting: LiveMeeting, answer: Answer) -> bool:
        """If the meeting existed already, its initial listing comes from the create that made it, or from a poll."""
        listing = "" if answer.message_key == "duplicateWarning" else initial_listing(wanted.parameters, answer)
        return self.store.settle(meeting, identity(answer), listing)

    def _refused(
        self, request: "_Request", meeting: LiveMeeting, node: Node, answer: Answer, new: bool
    ) -> Answer | None:
        """The node answered FAILED: the front end gets that answer, word for word."""
        if answer.message_key != "idNotUnique":
            if new:
                self.store.finish(meeting, State.ENDED, f"its node refused: {answer.message_key}")
            return answer
        # A concurrent create made it with other passwords, so the row is right although this create is refused.
        info = self.nodes.call(node, "getMeetingInfo", _only(meeting.meeting_id))
        if info.success and not self.store.settle(meeting, identity(info)):
            request.refused.add(node.id)
            return None
        return answer

    def _repeat(self, wanted: Wanted, meeting: LiveMeeting, node: Node) -> Answer | None:
        """The meeting is running: its node answers, or creates it again if it has ended there."""
        answer = self.nodes.create(node, wanted.parameters, wanted.upload)
        if not answer.success:
            return answer
        if identity(answer).internal_meeting_id == meeting.internal_meeting_id:
            return answer
        return answer if self._settle(wanted, meeting, answer) else None

    def _repeat_if_still_there(self, wanted: Wanted, meeting: LiveMeeting, node: Node) -> Answer | None:
        """The meeting is running on a node that is being drained: repeat the create only if that creates nothing."""
        info = self.nodes.call(node, "getMeetingInfo", _only(meeting.meeting_id))
        return self._repeat_by_info(wanted, meeting, node, info)

    def _repeat_by_info(self, wanted: Wanted, meeting: LiveMeeting, node: Node, info: Answer) -> Answer | None:
        """The meeting was running: its node's answer to getMeetingInfo decides whether the create is repeated."""
        if not info.success:
            if info.message_key != "notFound":
                raise NodeError(f"{node.name} answered getMeetingInfo with {info.message_key}")
            self.store.finish(meeting, State.ENDED, "its node does not know it")
            return None
        if identity(info).internal_meeting_id != meeting.internal_meeting_id:
            self.store.settle(meeting, identity(info))
            return None
        return self._repeat(wanted, meeting, node)

    def _ask_or_move(
        self, request: "_Request", meeting: LiveMeeting, node: Node, unreachable_for: float
    ) -> Answer | None:
        """Move a meeting whose node has been unreachable for long enough. Raises BBBError if it has not been.

        The node is asked first, because our knowledge is as old as its last poll, and perhaps no poller is running.
        """
        if unreachable_for < self.move_after or self.store.mostly_unreachable():
            raise BBBError(
                "The server of this meeting cannot be reached at the moment. Please try again in a few minutes."
            )
        try:
            info = self.nodes.call(node, "getMeetingInfo", _only(meeting.meeting_id))
        except NodeError as error:
            request.failed(node, error)
            return self._move(request, meeting, f"its node was unreachable for {unreachable_for:.0f} s")
        return self._repeat_by_info(request.wanted, meeting, node, info)

    def _move(self, request: "_Request", meeting: LiveMeeting, cause: str) -> Answer | None:
        moved, new = self.store.move(meeting, request.wanted, request.refused, cause)
        # Only create on a row that this call reserved; for any other row, start over.
        return self._create_on_node(request, moved, moved.node, new) if new and moved.node else None


@dataclass
class _Request:
    """One create, and what it has learnt so far."""

    wanted: Wanted
    refused: set[int] = field(default_factory=set)  #: ids of nodes
    timeouts: int = 0

    def failed(self, node: Node, error: NodeError) -> None:
        self.refused.add(node.id)
        self.timeouts += isinstance(error, NodeTimeoutError)


def _only(meeting_id: str) -> Parameters:
    return Parameters.of([("meetingID", meeting_id)])
