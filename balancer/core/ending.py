"""An operator's end: of the meeting that was meant, and of no later one of its meetingID."""

from balancer.core.meetings import NodeCalls
from balancer.core.node_call import Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import BalancerError


class NotEndedError(BalancerError):
    """The node has another meeting of this ID, or refuses the end."""


def end_at(nodes: NodeCalls, node: Node, meeting_id: str, internal_meeting_id: str) -> bool:
    """Whether the node ends it now; False where it has no such meeting. Raises NotEndedError, NodeError."""
    # By its internal id no later meeting of the same meetingID is meant; not every release takes one.
    for name in (internal_meeting_id, meeting_id):
        named = [("meetingID", name)]
        info = nodes.call(node, "getMeetingInfo", Parameters.of(named))
        if not _absent(info):
            break
    else:
        return False
    if info.text("internalMeetingID") != internal_meeting_id:
        raise NotEndedError(f"{node.name} has another meeting of this ID by now: look again")
    # BBB up to 2.5 wants the moderators' password.
    password = info.text("moderatorPW")
    return not _absent(nodes.call(node, "end", Parameters.of(named + [("password", password)] * bool(password))))


def _absent(answer: Answer) -> bool:
    """Whether the node says that it has no such meeting. Raises NotEndedError for any other failure."""
    if not answer.success and answer.message_key != "notFound":
        raise NotEndedError(f"the node refused: {answer.message_key}")
    return not answer.success
