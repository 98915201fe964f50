"""Statistics that no longer change, on a node that otherwise works."""

from lab.simulator.answers import Answer
from lab.simulator.calls.info import get_meeting_info, get_meetings
from lab.simulator.misbehaviour import Fault
from lab.simulator.node import Node
from lab.simulator.request import Call, Parameters


def freeze(node: Node, fault: Fault) -> None:
    """Store the node's present statistics in the fault."""
    fault.memory[""] = get_meetings(node, Call("getMeetings", "GET", b"", Parameters([]))).body
    for meeting in node.meetings:
        asked = Parameters([("meetingID", meeting.meeting_id)])
        fault.memory[meeting.meeting_id] = get_meeting_info(node, Call("getMeetingInfo", "GET", b"", asked)).body


def frozen_answer(node: Node, call: Call) -> Answer | None:
    """Return the stored answer; None for other calls and for meetings created later."""
    fault = node.misbehaviour.concerning("frozen", call.name)
    if fault is None or call.name not in ("getMeetings", "getMeetingInfo"):
        return None
    meeting_id = call.parameters.text("meetingID") if call.name == "getMeetingInfo" else ""
    body = fault.memory.get(meeting_id)
    return None if body is None or (call.name == "getMeetingInfo" and not meeting_id) else Answer(body)
