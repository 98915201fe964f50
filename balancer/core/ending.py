"""Ends a meeting on its node: exactly that one, and no later meeting of the same meetingID."""

from balancer.core.meetings import NodeCalls
from balancer.core.node_call import Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import BalancerError, NodeError, NodeStatusError


class NotEndedError(BalancerError):
    """The node has another meeting of this ID, or refuses the end."""


def end_at(nodes: NodeCalls, node: Node, meeting_id: str, internal_meeting_id: str) -> bool:
    """Whether the node ends it now; False if it has no such meeting. Raises NotEndedError, NodeError."""
    for named in names(meeting_id, internal_meeting_id):
        try:
            info = nodes.call(node, "getMeetingInfo", info_parameters(named))
        except NodeError as error:
            if not takes_no_internal_id(error, named, meeting_id):
                raise
            continue
        if _known(info):
            break
    else:
        return False
    if info.text("internalMeetingID") != internal_meeting_id:
        raise NotEndedError(f"{node.name} has another meeting of this ID by now: check again")
    return _known(nodes.call(node, "end", end_parameters(named, info)))


def names(meeting_id: str, internal_meeting_id: str) -> tuple[str, str]:
    """The IDs to ask a node for, in this order: the internalMeetingID cannot mean a later meeting of the meetingID.

    A meeting that is found by the meetingID may be another one; its internalMeetingID shows whether it is.
    """
    return internal_meeting_id, meeting_id


def takes_no_internal_id(error: NodeError, named: str, meeting_id: str) -> bool:
    """Whether the failed getMeetingInfo only means that the node has to be asked by the meetingID.

    BBB up to 2.5 finds a meeting by its internal id, then loses it, and answers HTTP 500 (bigbluebutton#15652).
    """
    return named != meeting_id and isinstance(error, NodeStatusError) and error.status == 500


def info_parameters(named: str) -> Parameters:
    """Parameters of the getMeetingInfo that looks for the meeting."""
    return Parameters.of([("meetingID", named)])


def end_parameters(named: str, info: Answer) -> Parameters:
    """Parameters of the end of the meeting that was found; BBB up to 2.5 checks the moderators' password."""
    password = info.text("moderatorPW")
    return Parameters.of([("meetingID", named)] + [("password", password)] * bool(password))


def is_absent(answer: Answer) -> bool:
    """Whether the node says that it has no such meeting."""
    return not answer.success and answer.message_key == "notFound"


def _known(answer: Answer) -> bool:
    """Whether the node has the meeting that the call named. Raises NotEndedError if it refuses the call."""
    if not answer.success and not is_absent(answer):
        raise NotEndedError(f"the node refused: {answer.message_key}")
    return answer.success
