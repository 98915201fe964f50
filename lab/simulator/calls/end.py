"""end (reference 3.8)."""

from lab.simulator.answers import Answer, CallError, message, response
from lab.simulator.node import Node
from lab.simulator.request import Call

_SENT = (
    "A request to end the meeting was sent.  Please wait a few seconds, and then use the getMeetingInfo"
    " or isMeetingRunning API calls to verify that it was ended."
)


def end(node: Node, call: Call) -> Answer:
    """Ask for the end, which comes later; a password is ignored since 2.6."""
    meeting = node.meetings.find(call.parameters.text("meetingID"))
    if meeting is None:
        raise CallError("notFound", "A meeting with that ID does not exist")
    node.life.end_soon(meeting)
    return response(message("sentEndMeetingRequest", _SENT))
