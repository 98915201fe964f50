"""end (reference 3.8)."""

from lab.simulator.answers import Answer, CallError, message, response
from lab.simulator.meetings import Meeting
from lab.simulator.node import Node
from lab.simulator.request import Call

_SENT = (
    "A request to end the meeting was sent.  Please wait a few seconds, and then use the getMeetingInfo"
    " or isMeetingRunning API calls to verify that it was ended."
)


def end(node: Node, call: Call) -> Answer:
    """Request the end, which follows later; since 2.6 a password is ignored."""
    meeting_id = call.parameters.text("meetingID")
    if node.settings.profile.checks_end_password:
        _check_password(node.meetings.find(meeting_id), call.parameters.text("password"))
    meeting = node.existing(meeting_id)
    node.life.end_soon(meeting)
    return response(message("sentEndMeetingRequest", _SENT))


def _check_password(meeting: Meeting | None, password: str) -> None:
    if meeting is not None and password not in ("", meeting.moderator_password):
        raise CallError("invalidPassword", "The supplied moderator password is incorrect")
