"""Ends one particular meeting at its node, and no later meeting with the same meetingID."""

from collections.abc import Generator

from balancer.core.meetings import NodeCalls
from balancer.core.node_call import Answer, refusal
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import BalancerError, NodeError, NodeStatusError

#: Name and parameters.
Call = tuple[str, Parameters]


class NotEndedError(BalancerError):
    """The node has another meeting of this ID, or refuses the end."""


def end_at(nodes: NodeCalls, node: Node, meeting_id: str, internal_meeting_id: str) -> bool:
    """Whether the node ends it now; False if it has no such meeting. Raises NotEndedError, NodeError."""
    calls = ending_calls(node, meeting_id, internal_meeting_id)
    try:
        call = next(calls)
        while True:
            try:
                answer = nodes.call(node, *call)
            except NodeError as error:
                call = calls.throw(error)
            else:
                call = calls.send(answer)
    except StopIteration as result:
        return bool(result.value)


def ending_calls(
    node: Node, meeting_id: str, internal_meeting_id: str, *, unused: bool = False
) -> Generator[Call, Answer, bool]:
    """The calls of ``end_at``, for any kind of client: it sends in each answer or throws in its NodeError.

    unused: end the meeting only if no user ever joined. Raises NotEndedError, NodeError.
    """
    # A meeting that is found by its meetingID may be a later one. Its internal ID finds no other meeting.
    for meeting_name in (internal_meeting_id, meeting_id):
        try:
            info = yield "getMeetingInfo", Parameters.of([("meetingID", meeting_name)])
        except NodeStatusError as error:
            # BBB up to 2.5 finds a meeting by its internal ID, then fails with HTTP 500 (bigbluebutton#15652).
            if meeting_name == meeting_id or error.status != 500:
                raise
            continue
        if _exists(node, "getMeetingInfo", info):
            break
    else:
        return False
    if info.text("internalMeetingID") != internal_meeting_id:
        raise NotEndedError(f"{node.name} now has another meeting of this ID: try again")
    if unused and _has_been_used(info):
        return False
    # BBB up to 2.5 checks the moderators' password.
    password = info.text("moderatorPW")
    ended = yield "end", Parameters.of([("meetingID", meeting_name)] + [("password", password)] * bool(password))
    return _exists(node, "end", ended)


def is_absent(answer: Answer) -> bool:
    """Whether the node has no such meeting."""
    return not answer.success and answer.message_key == "notFound"


def _exists(node: Node, call: str, answer: Answer) -> bool:
    """Whether the node has the meeting of the call. Raises NotEndedError if it refuses the call."""
    if not answer.success and not is_absent(answer):
        raise NotEndedError(str(refusal(node, call, answer)))
    return answer.success


def _has_been_used(info: Answer) -> bool:
    """Whether a user is in the meeting or has been."""
    return info.text("hasUserJoined").strip().lower() != "false" or info.text("participantCount").strip() != "0"
