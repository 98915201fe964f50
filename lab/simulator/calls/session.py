"""Calls of the client page, with a session token instead of a checksum (reference 3.11)."""

import json
from urllib.parse import quote, urlencode

from lab.simulator.answers import JSON, Answer, json_response, response
from lab.simulator.checksum import digest
from lab.simulator.meetings import Meeting, User
from lab.simulator.node import Node
from lab.simulator.request import Call


def enter(node: Node, call: Call) -> Answer:
    """Return the user and the meeting of a client of 2.x."""
    found = _session(node, call)
    if found is None:
        return json_response(returncode="FAILED", messageKey="missingSession", message="Invalid session token")
    meeting, user = found
    return json_response(
        returncode="SUCCESS",
        fullname=user.name,
        confname=meeting.name,
        meetingID=meeting.internal_id,
        externMeetingID=meeting.meeting_id,
        externUserID=user.external_id,
        internalUserID=user.internal_id,
        authToken=user.auth_token,
        role=user.role,
        guest=user.guest,
        conference=meeting.internal_id,
        room=meeting.internal_id,
        voicebridge=meeting.voice_bridge,
        dialnumber=meeting.dial_number,
        record=str(meeting.record).lower(),
        isBreakout=meeting.is_breakout,
        allowStartStopRecording=meeting.allow_start_stop_recording,
        metadata=[{name: value} for name, value in meeting.metadata.items()],
        logoutUrl=meeting.logout_url or node.settings.server_url,
    )


def stuns(node: Node, call: Call) -> Answer:
    """Return the STUN and TURN servers, of which there are none."""
    if _session(node, call) is None:
        logout = node.settings.server_url
        return json_response(returncode="FAILED", message="Could not find conference.", logoutURL=logout)
    servers: dict[str, list[str]] = {"stunServers": [], "turnServers": [], "remoteIceCandidates": []}
    return Answer(json.dumps(servers), JSON)


def sign_out(node: Node, call: Call) -> Answer:
    """Leave; the answer is always the same."""
    found = _session(node, call)
    if found is not None:
        del node.sessions[found[1].session_token]
        node.life.eject(*found)
    return response()


def get_join_url(node: Node, call: Call) -> Answer:
    """Return a join link to the same meeting for the same person; always signed with SHA-1, as in BBB."""
    found = _session(node, call)
    if found is None:
        return json_response(returncode="FAILED", message="Invalid Session")
    meeting, user = found
    about = {"fullName": user.name, "meetingID": meeting.meeting_id, "userID": user.external_id, "role": user.role}
    query = urlencode(about, quote_via=quote)
    checksum = digest("join", query.encode(), node.settings.secret, "sha1")
    url = f"{node.settings.server_url}/bigbluebutton/api/join?{query}&checksum={checksum}"
    return json_response(returncode="SUCCESS", message="Join URL provided successfully.", url=url)


def _session(node: Node, call: Call) -> tuple[Meeting, User] | None:
    return node.session(call.parameters.text("sessionToken"), call.cookies.get("JSESSIONID"))
