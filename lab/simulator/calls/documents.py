"""insertDocument and sendChatMessage, which add to a running meeting (reference 3.9, 3.10)."""

from lab.simulator.answers import Answer, CallError, element, response
from lab.simulator.documents import documents_in
from lab.simulator.node import Node
from lab.simulator.request import Call
from lab.simulator.violations import Violations


def insert_document(node: Node, call: Call) -> Answer:
    """Add slides to a meeting; the answer has no messageKey element."""
    meeting_id = call.parameters.text("meetingID")
    meeting = node.meetings.find(meeting_id)
    if meeting is None:
        return _failed(f"Meeting with id [{meeting_id}] not found.")
    if "presentation" in meeting.disabled_features:
        return _failed("Presentation feature is disabled, ignoring.")
    if not call.body:
        return Answer()
    meeting.documents += documents_in(call.body, node.settings)
    return response(element("message", "Presentation is being uploaded"))


def send_chat_message(node: Node, call: Call) -> Answer:
    """Post a message to the public chat."""
    sent = call.parameters
    text, name = sent.get("message"), sent.text("userName", "System")
    violations = Violations()
    if text is None:
        violations.add("nullError", "You must provide the param message")
    elif not 1 <= len(text) <= 500:
        violations.add("sizeError", "Param message must be between 1 and 500 characters")
    if len(name) > 255:
        violations.add("sizeError", "Param userName must not exceed 255 characters")
    violations.raise_first()
    meeting = node.meetings.find(sent.text("meetingID"))
    if meeting is None or not meeting.online():
        raise CallError("meetingNotFound", "Meeting not found")
    meeting.chat.append((node.clock.milliseconds(), name, text or ""))
    node.life.changed(meeting)
    return response("<messageKey/>", element("message", "Message successfully sent"))


def _failed(text: str) -> Answer:
    return response(element("message", text), returncode="FAILED")
