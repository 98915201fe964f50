"""isMeetingRunning, getMeetingInfo, getMeetings, getSessions (reference 3.4 to 3.7)."""

from lab.simulator.answers import Answer, element, message, optional, response
from lab.simulator.clock import java_date
from lab.simulator.meetings import Meeting, User
from lab.simulator.node import Node
from lab.simulator.request import Call
from lab.simulator.violations import Violations


def is_meeting_running(node: Node, call: Call) -> Answer:
    """Return whether the meeting has users; an unknown meeting is not running."""
    meeting_id = call.parameters.get("meetingID")
    violations = Violations()
    violations.size(meeting_id, 256, "Meeting ID must be between 2 and 256 characters")
    violations.raise_first()
    meeting = node.look_up(meeting_id) if meeting_id else None
    return response(element("running", meeting is not None and _running(meeting)))


def get_meeting_info(node: Node, call: Call) -> Answer:
    """Describe one meeting and its present users."""
    meeting = node.existing(call.parameters.text("meetingID"))
    return response(*meeting_elements(node, meeting, meeting.online()))


def get_meetings(node: Node, call: Call) -> Answer:
    """Describe every meeting, breakouts included."""
    described = [_listed(node, meeting) for meeting in node.meetings]
    if not described:
        return response("<meetings/>", message("noMeetings", "no meetings were found on this server"))
    return response("<meetings>\n" + "\n".join(described) + "\n</meetings>")


def get_sessions(node: Node, call: Call) -> Answer:
    """List the present users with internal meeting ids (undocumented call)."""
    sessions = [
        element("meetingID", meeting.internal_id)
        + element("meetingName", meeting.name)
        + element("userName", user.name)
        for meeting in node.meetings
        for user in meeting.online()
    ]
    if not sessions:
        return response("<sessions/>", message("noSessions", "no sessions were found on this serverr"))
    return response("<sessions>" + "".join(f"<meeting>{each}</meeting>" for each in sessions) + "</sessions>")


def _listed(node: Node, meeting: Meeting) -> str:
    elements = meeting_elements(node, meeting, meeting.listed(), listing=True)
    return "<meeting>" + "".join(elements) + "</meeting>"


def _running(meeting: Meeting) -> bool:
    return bool(meeting.listed())


def meeting_elements(node: Node, meeting: Meeting, users: list[User], *, listing: bool = False) -> list[str]:
    """Write a meeting's elements in the order of both BBB templates; `users` become the attendees."""
    max_users = f"{meeting.max_users:,}" if listing and node.settings.profile.groups_thousands else meeting.max_users
    return [
        element("meetingName", meeting.name),
        element("meetingID", meeting.meeting_id),
        element("internalMeetingID", meeting.internal_id),
        element("createTime", meeting.create_time),
        element("createDate", java_date(meeting.create_time)),
        element("voiceBridge", meeting.voice_bridge),
        element("dialNumber", meeting.dial_number),
        optional("attendeePW", meeting.attendee_password),
        optional("moderatorPW", meeting.moderator_password),
        element("running", _running(meeting)),
        element("duration", meeting.duration),
        element("hasUserJoined", meeting.has_user_joined),
        element("recording", meeting.record),
        element("hasBeenForciblyEnded", False),
        element("startTime", meeting.start_time),
        element("endTime", meeting.end_time),
        *_counts(meeting.online()),
        element("maxUsers", max_users),
        element("moderatorCount", sum(user.role == "MODERATOR" for user in meeting.online())),
        "<attendees>" + "".join(map(_attendee, users)) + "</attendees>",
        "<metadata>" + "".join(element(*item) for item in meeting.metadata.items()) + "</metadata>",
        element("isBreakout", meeting.is_breakout),
        *_breakout(meeting),
        _rooms(node, meeting),
    ]


def _counts(online: list[User]) -> list[str]:
    return [
        element("participantCount", len(online)),
        element("listenerCount", sum(user.listening_only for user in online)),
        element("voiceParticipantCount", sum(user.voice for user in online)),
        element("videoCount", sum(user.video for user in online)),
    ]


def _attendee(user: User) -> str:
    custom = "".join(element(*item) for item in user.custom.items())
    parts = (
        element("userID", user.external_id),
        element("fullName", user.name),
        element("role", user.role),
        element("isPresenter", user.presenter),
        element("isListeningOnly", user.listening_only),
        element("hasJoinedVoice", user.voice),
        element("hasVideo", user.video),
        element("clientType", "HTML5"),
        f"<customdata>{custom}</customdata>" if custom else "",
    )
    return "<attendee>" + "".join(parts) + "</attendee>"


def _breakout(meeting: Meeting) -> list[str]:
    if not meeting.is_breakout:
        return []
    return [
        element("parentMeetingID", meeting.parent_id),
        element("sequence", meeting.sequence),
        element("freeJoin", meeting.free_join),
    ]


def _rooms(node: Node, meeting: Meeting) -> str:
    rooms = "".join(element("breakout", room.meeting_id) for room in node.meetings.children(meeting))
    return f"<breakoutRooms>{rooms}</breakoutRooms>" if rooms else ""
