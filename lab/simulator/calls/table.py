"""Every call that a node answers: how it may be made, and which function answers (reference 1.1)."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.simulator.answers import Answer
from lab.simulator.bbb_releases import Profile
from lab.simulator.calls.create import create
from lab.simulator.calls.documents import insert_document, send_chat_message
from lab.simulator.calls.end import end
from lab.simulator.calls.hooks import hooks_create, hooks_destroy, hooks_list, hooks_ping
from lab.simulator.calls.index import index
from lab.simulator.calls.info import get_meeting_info, get_meetings, get_sessions, is_meeting_running
from lab.simulator.calls.join import join
from lab.simulator.calls.recordings import delete_recordings, get_recordings, publish_recordings, update_recordings
from lab.simulator.calls.session import enter, get_join_url, sign_out, stuns
from lab.simulator.calls.text_tracks import get_text_tracks, put_text_track
from lab.simulator.node import Node
from lab.simulator.request import Call

_FORM = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_XML = frozenset({"application/xml", "text/xml"})
_BOTH = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Rule:
    """How a call may be made, and which function answers it."""

    answer: Callable[[Node, Call], Answer]
    methods: tuple[str, ...] = _BOTH
    #: Allowed content types of a body.
    body_types: frozenset[str] = _FORM
    #: Whether the signature is checked first; otherwise the call's function checks it.
    signed_first: bool = True
    #: Whether bbb-web's ApiController answers the call, which serviceEnabled=false disables.
    of_api: bool = True
    #: "2" or "3" if only that major release has the call.
    only: str = ""


RULES = {
    "": Rule(index, ("GET",), signed_first=False),
    "create": Rule(create, body_types=_FORM | _XML),
    "join": Rule(join, ("GET",), signed_first=False),
    "isMeetingRunning": Rule(is_meeting_running),
    "getMeetingInfo": Rule(get_meeting_info),
    "getMeetings": Rule(get_meetings),
    "getSessions": Rule(get_sessions),
    "end": Rule(end),
    "insertDocument": Rule(insert_document, ("POST",), _XML),
    "sendChatMessage": Rule(send_chat_message, ("GET",), only="3"),
    "enter": Rule(enter, signed_first=False, only="2"),
    "stuns": Rule(stuns, signed_first=False),
    "signOut": Rule(sign_out, signed_first=False),
    "getJoinUrl": Rule(get_join_url, signed_first=False, only="3"),
    "getRecordings": Rule(get_recordings, signed_first=False, of_api=False),
    "publishRecordings": Rule(publish_recordings, ("GET",), signed_first=False, of_api=False),
    "deleteRecordings": Rule(delete_recordings, ("GET",), signed_first=False, of_api=False),
    "updateRecordings": Rule(update_recordings, signed_first=False, of_api=False),
    "getRecordingTextTracks": Rule(get_text_tracks, signed_first=False, of_api=False),
    "putRecordingTextTrack": Rule(put_text_track, ("POST",), signed_first=False, of_api=False),
    "hooks/create": Rule(hooks_create, ("GET",), signed_first=False, of_api=False),
    "hooks/list": Rule(hooks_list, ("GET",), signed_first=False, of_api=False),
    "hooks/destroy": Rule(hooks_destroy, ("GET",), signed_first=False, of_api=False),
    "hooks/ping": Rule(hooks_ping, ("GET",), signed_first=False, of_api=False),
}


def rule_for(name: str, profile: Profile) -> Rule | None:
    """Return the rule for a call of this release; None for an unknown call."""
    if name == "join" and profile.joins_by_post:
        return Rule(join, _BOTH, signed_first=False)
    rule = RULES.get(name)
    return None if rule is None or rule.only not in ("", profile.release[0]) else rule
