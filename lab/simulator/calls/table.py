"""Every call that a node answers: who may ask how, and which function answers (reference 1.1)."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.simulator.answers import Answer
from lab.simulator.calls.create import create
from lab.simulator.calls.end import end
from lab.simulator.calls.index import index
from lab.simulator.calls.info import get_meeting_info, get_meetings, get_sessions, is_meeting_running
from lab.simulator.calls.join import join
from lab.simulator.node import Node
from lab.simulator.profiles import Profile
from lab.simulator.request import Call

_FORM = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_XML = frozenset({"application/xml", "text/xml"})
_BOTH = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Rule:
    """How a call may be asked, and who answers."""

    answer: Callable[[Node, Call], Answer]
    methods: tuple[str, ...] = _BOTH
    #: Content types of a body.
    body_types: frozenset[str] = _FORM
    #: The signature is checked before the call is looked at; otherwise the call does it itself.
    signed_first: bool = True


RULES = {
    "": Rule(index, ("GET",), signed_first=False),
    "create": Rule(create, body_types=_FORM | _XML),
    "join": Rule(join, ("GET",), signed_first=False),
    "isMeetingRunning": Rule(is_meeting_running),
    "getMeetingInfo": Rule(get_meeting_info),
    "getMeetings": Rule(get_meetings),
    "getSessions": Rule(get_sessions),
    "end": Rule(end),
}


def rule_for(name: str, profile: Profile) -> Rule | None:
    """Return the rule for a call of this release, None for an unknown call."""
    if name == "join" and profile.joins_by_post:
        return Rule(join, _BOTH, signed_first=False)
    if name == "sendChatMessage" and not profile.has_chat:
        return None
    return RULES.get(name)
