"""create (reference 3.2)."""

import xml.etree.ElementTree as ElementTree
from urllib.parse import urlsplit

from lab.simulator.answers import Answer, CallError, ErrorListError, element, message, optional, response
from lab.simulator.clock import java_date
from lab.simulator.documents import documents_in, linked_document
from lab.simulator.meetings import Meeting, token
from lab.simulator.node import Node
from lab.simulator.request import Call, Parameters
from lab.simulator.violations import Violations

_DIAL_NUMBER = "613-555-1234"
_MEETING_ID_SIZE = "Meeting ID must be between 2 and 256 characters"


def create(node: Node, call: Call) -> Answer:
    """Create a meeting, or answer with the existing one."""
    _validate(call.parameters)
    documents = _documents(node, call)
    existing = node.meetings.find(call.parameters.text("meetingID"))
    if existing is not None:
        return _duplicate(existing, call.parameters)
    meeting = _new_meeting(node, call.parameters)
    meeting.documents = documents
    node.life.begin(meeting)
    return _answer(meeting)


def _validate(sent: Parameters) -> None:
    violations = Violations()
    _validate_names(violations, sent)
    for password in ("attendeePW", "moderatorPW"):
        value = sent.get(password)
        if value and not 2 <= len(value) <= 64:
            violations.add("invalidPassword", "Invalid password")
    violations.integer(sent.get("voiceBridge"), "Voice bridge must be an integral value")
    violations.boolean(sent.get("record"), "Record must be a boolean value (true or false)")
    violations.boolean(sent.get("isBreakout"), "You must provide a boolean value (true or false) for the breakout room")
    upload = sent.get("presentationUploadExternalUrl")
    if upload and not urlsplit(upload).netloc:
        violations.add("validationError", "Param 'presentationUploadExternalUrl' is not a valid URL")
    violations.raise_first()


def _validate_names(violations: Violations, sent: Parameters) -> None:
    name, meeting_id = sent.get("name"), sent.get("meetingID")
    if name is None:
        violations.add("nullError", "You must provide a meeting name")
    elif not name:
        violations.add("emptyError", "You must provide a meeting name")
    violations.size(name, 256, "Meeting name must be between 2 and 256 characters")
    if meeting_id is None or meeting_id != sent.raw("meetingID"):
        violations.add("validationError", "Invalid meeting ID")
    elif not meeting_id:
        violations.add("missingParamMeetingID", "You must provide a meeting ID")
    elif "," in meeting_id:
        violations.add("validationError", "Meeting ID cannot contain ','")
    violations.size(meeting_id, 256, _MEETING_ID_SIZE)


def _documents(node: Node, call: Call) -> list[str]:
    settings, sent = node.settings, call.parameters
    if not call.body or call.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        linked = sent.text("preUploadedPresentation") if settings.profile.links_slides else ""
        return linked_document(linked, sent.text("preUploadedPresentationName"), settings)
    try:
        return documents_in(call.body, settings)
    except ElementTree.ParseError:
        if not settings.profile.names_malformed_xml:
            raise
        raise CallError("malformedXml", "The request body contains malformed XML.") from None


def _duplicate(existing: Meeting, sent: Parameters) -> Answer:
    attendee, moderator = sent.text("attendeePW"), sent.text("moderatorPW")
    same = (attendee, moderator) == (existing.attendee_password, existing.moderator_password)
    if not same and (attendee or moderator):
        raise CallError(
            "idNotUnique",
            "A meeting already exists with that meeting ID.  Please use a different meeting ID.",
        )
    return _answer(
        existing,
        "duplicateWarning",
        "This conference was already in existence and may currently be in progress.",
    )


def _new_meeting(node: Node, sent: Parameters) -> Meeting:
    parent = _parent(node, sent)
    bridge = sent.text("voiceBridge") or (_room_bridge(parent, sent) if parent else node.meetings.free_bridge())
    web_voice = sent.text("webVoice") or bridge
    if node.meetings.with_bridge(bridge) or node.meetings.with_bridge(web_voice):
        raise ErrorListError("nonUniqueVoiceBridge", "The selected voice bridge is already in use.")
    meeting_id = sent.text("meetingID")
    create_time = node.clock.milliseconds()
    meeting = Meeting(
        meeting_id=meeting_id,
        name=sent.text("name"),
        internal_id=node.meetings.internal_id(meeting_id, create_time, bridge),
        create_time=create_time,
        attendee_password=sent.text("attendeePW") or _password(node),
        moderator_password=sent.text("moderatorPW") or _password(node),
        voice_bridge=bridge,
        web_voice=web_voice,
        dial_number=sent.text("dialNumber", _DIAL_NUMBER),
        created=node.life.now(),
        duration=sent.number("duration", 0),
        max_users=sent.number("maxParticipants", 0),
        logout_url=sent.text("logoutURL"),
        ended_url=sent.text("meetingEndedURL"),
    )
    _set_behaviour(node, meeting, sent)
    _set_metadata(meeting, sent, parent)
    if parent is not None:
        meeting.is_breakout, meeting.parent_id = True, parent.internal_id
        meeting.sequence, meeting.free_join = sent.number("sequence", 0), sent.flag("freeJoin")
    return meeting


def _password(node: Node) -> str:
    return token(8) if node.settings.random_passwords else ""


def _parent(node: Node, sent: Parameters) -> Meeting | None:
    if not sent.flag("isBreakout"):
        return None
    parent_id = sent.text("parentMeetingID")
    if not parent_id:
        key = node.settings.profile.missing_parent_key
        raise CallError(key, "No parent meeting ID was provided for the breakout room")
    parent = node.meetings.find(parent_id)
    if parent is None:
        raise CallError("parentMeetingDoesNotExist", "No parent meeting exists for the breakout room")
    return parent


def _room_bridge(parent: Meeting, sent: Parameters) -> str:
    return f"{parent.voice_bridge}{sent.number('sequence', 0)}"


def _set_behaviour(node: Node, meeting: Meeting, sent: Parameters) -> None:
    meeting.record = sent.flag("record")
    meeting.auto_start_recording = sent.flag("autoStartRecording")
    meeting.allow_start_stop_recording = sent.flag("allowStartStopRecording", default=True)
    meeting.guest_policy = sent.text("guestPolicy", node.settings.guest_policy)
    meeting.expire_without_user = sent.number("meetingExpireIfNoUserJoinedInMinutes", 5)
    meeting.expire_after_last = sent.number("meetingExpireWhenLastUserLeftInMinutes", 1)
    meeting.end_without_moderator = sent.flag("endWhenNoModerator")
    meeting.end_without_moderator_delay = sent.number("endWhenNoModeratorDelayInMinutes", 1)
    meeting.keep_events = sent.flag("meetingKeepEvents")
    meeting.disabled_features = tuple(sent.text("disabledFeatures").split(","))


def _set_metadata(meeting: Meeting, sent: Parameters, parent: Meeting | None) -> None:
    if parent is not None:
        meeting.metadata.update(parent.metadata)
    meeting.metadata.update(sent.metadata())
    if meeting.record:
        meeting.metadata["isBreakout"] = str(parent is not None).lower()
        meeting.metadata["meetingId"] = meeting.meeting_id
        meeting.metadata["meetingName"] = meeting.name


def _answer(meeting: Meeting, key: str = "", text: str = "") -> Answer:
    return response(
        element("meetingID", meeting.meeting_id),
        element("internalMeetingID", meeting.internal_id),
        element("parentMeetingID", meeting.parent_id),
        optional("attendeePW", meeting.attendee_password),
        optional("moderatorPW", meeting.moderator_password),
        element("createTime", meeting.create_time),
        element("voiceBridge", meeting.voice_bridge),
        element("dialNumber", meeting.dial_number),
        element("createDate", java_date(meeting.create_time)),
        element("hasUserJoined", meeting.has_user_joined),
        element("duration", meeting.duration),
        element("hasBeenForciblyEnded", False),
        message(key, text),
    )
