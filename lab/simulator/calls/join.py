"""join (reference 3.3, guest table 10.1)."""

import json
import re
from urllib.parse import quote, urlsplit, urlunsplit

from lab.simulator.answers import Answer, CallError, element, failed, message, response
from lab.simulator.guest_policy import guest_status
from lab.simulator.meetings import Meeting, Presence, User
from lab.simulator.node import Node
from lab.simulator.request import Call, Parameters
from lab.simulator.violations import Violations

_CUSTOM = re.compile(r"userdata-([A-Za-z_][\w.-]*)", re.ASCII)
_BOOLEANS = ("true", "false", "0", "1")
_ENDED = "You can not join a meeting that has already been forcibly ended"
_PASSWORD = "The provided password is neither a moderator or attendee password"


class MissingNameError(Exception):
    """A join without any fullName parameter crashes a node (HTTP 500)."""


def join(node: Node, call: Call) -> Answer:
    """Register a user and send the browser to the client page."""
    try:
        node.check_signature(call)
        _validate(node, call.parameters)
    except CallError as failure:
        return _refused(node, call.parameters, failure, early=True)
    meeting = node.meetings.find(call.parameters.text("meetingID"))
    if meeting is None:
        raise LookupError("validation accepted an unknown meeting")
    role = _role(meeting, call.parameters)
    if role is None:
        return failed(CallError("Params required", _what_is_missing(meeting, call.parameters)))
    try:
        user = _register(node, meeting, role, call.parameters)
    except CallError as failure:
        return _refused(node, call.parameters, failure)
    return _answer(node, meeting, user, call.parameters)


def _validate(node: Node, sent: Parameters) -> None:
    if sent.get("fullName") is None:
        raise MissingNameError
    violations = Violations()
    meeting_id = sent.get("meetingID")
    if not meeting_id:
        violations.add("missingParamMeetingID", "You must provide a meeting ID")
    violations.size(meeting_id, 256, "Meeting ID must be between 2 and 256 characters")
    if not sent.get("fullName"):
        violations.add("missingParamFullName", "You must provide your name")
    _validate_meeting(violations, node.meetings.find(meeting_id or ""), sent)
    violations.boolean(sent.get("guest"), "Guest must be a boolean value (true or false)", _BOOLEANS)
    violations.boolean(sent.get("auth"), "Auth must be a boolean value (true or false)", _BOOLEANS)
    violations.integer(sent.get("createTime"), "Value must be an integral number")
    violations.raise_first()


def _validate_meeting(violations: Violations, meeting: Meeting | None, sent: Parameters) -> None:
    if meeting is None:
        violations.add("invalidMeetingIdentifier", "A meeting with that ID does not exist")
        violations.add("meetingForciblyEnded", _ENDED)
        violations.add("invalidPassword", _PASSWORD)
    elif sent.text("password") and _role(meeting, sent) is None:
        violations.add("invalidPassword", _PASSWORD)


def _role(meeting: Meeting, sent: Parameters) -> str | None:
    """Return the role: a valid `role` parameter wins, else the password decides."""
    if (role := sent.text("role").upper()) in ("MODERATOR", "VIEWER"):
        return role
    password = sent.text("password")
    if password and password == meeting.moderator_password:
        return "MODERATOR"
    return "VIEWER" if password and password == meeting.attendee_password else None


def _what_is_missing(meeting: Meeting, sent: Parameters) -> str:
    if not meeting.moderator_password and not meeting.attendee_password:
        return "You must send the 'role' parameter, since this meeting doesn't have any password."
    return "You must either send the valid role of the user, or the password, sould the meeting has one."


def _register(node: Node, meeting: Meeting, role: str, sent: Parameters) -> User:
    create_time = sent.text("createTime")
    if create_time and int(create_time) != meeting.create_time:
        raise CallError(
            "mismatchCreateTimeParam",
            "The createTime parameter submitted mismatches with the current meeting.",
        )
    user_id = sent.text("userID")
    present = {user.external_id for user in meeting.online()}
    if meeting.max_users and len(present) >= meeting.max_users and user_id not in present:
        raise CallError(
            "maxParticipantsReached",
            "The number of participants allowed for this meeting has been reached.",
        )
    status = guest_status(node.settings, meeting.guest_policy, role, sent)
    if status == "DENY":
        raise CallError(
            "guestDeniedAccess",
            "You have been denied access to this meeting based on the meeting's guest policy",
        )
    return _add_user(node, meeting, _user(role, status, sent))


def _user(role: str, status: str, sent: Parameters) -> User:
    custom = {found[1]: sent.text(name) for name in sent.names() if (found := _CUSTOM.fullmatch(name))}
    return User(
        sent.text("fullName"),
        role,
        external_id=sent.text("userID"),
        presence=Presence.WAITING if status == "WAIT" else Presence.REGISTERED,
        guest=sent.text("guest").lower() in ("true", "1"),
        guest_status=status,
        custom=custom,
    )


def _add_user(node: Node, meeting: Meeting, user: User) -> User:
    if limit := node.settings.profile.sessions_at_once:
        same = [other for other in meeting.online() if other.external_id == user.external_id]
        for oldest in same[: max(0, len(same) + 1 - limit)]:
            node.life.eject(meeting, oldest)
    user.since = node.life.now()
    meeting.users[user.internal_id] = user
    node.sessions[user.session_token] = (meeting, user)
    return user


def _answer(node: Node, meeting: Meeting, user: User, sent: Parameters) -> Answer:
    url = client_url(node, user, enforce_layout=bool(sent.text("enforceLayout")))
    cookie = {"Set-Cookie": f"JSESSIONID={user.cookie}; Path=/; Secure; HttpOnly"}
    if sent.text("redirect").lower() != "false":
        return Answer(status=302, headers=cookie | {"Location": url})
    key, text = "successfullyJoined", "You have joined successfully."
    if user.guest_status == "WAIT" and node.settings.profile.always_redirects_errors:
        key, text = "guestWait", "Guest waiting for approval to join meeting."
    answer = response(
        message(key, text),
        element("meeting_id", meeting.internal_id),
        element("user_id", user.internal_id),
        element("auth_token", user.auth_token),
        element("session_token", user.session_token),
        element("guestStatus", user.guest_status),
        element("url", url),
    )
    answer.headers |= cookie
    return answer


def client_url(node: Node, user: User, *, enforce_layout: bool = False) -> str:
    """Return the address of the client page for a registered user."""
    profile = node.settings.profile
    waits = user.guest_status == "WAIT" and profile.guest_path
    layout = "waitLayout=1&" if enforce_layout and profile.has_graphql else ""
    path = profile.guest_path if waits else profile.client_path
    return f"{node.settings.server_url}{path}?{layout}sessionToken={user.session_token}"


def _refused(node: Node, sent: Parameters, failure: CallError, *, early: bool = False) -> Answer:
    """Refuse as XML or as a redirect with the errors; an `early` failure does not redirect to errorRedirectUrl."""
    profile = node.settings.profile
    if sent.text("redirect").lower() == "false" and not profile.always_redirects_errors:
        return failed(failure)
    base = sent.text("logoutURL") if failure.key != "checksumError" else ""
    if profile.has_error_redirect and not early:
        base = sent.text("errorRedirectUrl") or base
    errors = json.dumps([{"key": failure.key, "message": failure.message}], separators=(",", ":"))
    parts = urlsplit(base or node.settings.server_url)
    query = f"{parts.query}&errors={quote(errors)}" if parts.query else f"errors={quote(errors)}"
    return Answer(status=302, headers={"Location": urlunsplit(parts._replace(query=query))})
