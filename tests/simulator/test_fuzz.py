"""A node answers every request in one of its shapes."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import quote

import defusedxml.ElementTree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.simulator.calls.table import RULES
from lab.simulator.dispatch import answer
from lab.simulator.node import Node
from lab.simulator.request import Call, Parameters
from lab.simulator.settings import NodeSettings

NAMES = [
    *("name", "meetingID", "fullName", "role", "password", "attendeePW", "moderatorPW", "voiceBridge", "record"),
    *("isBreakout", "parentMeetingID", "sequence", "duration", "maxParticipants", "createTime", "guest", "auth"),
    *(
        "redirect",
        "logoutURL",
        "errorRedirectUrl",
        "recordID",
        "publish",
        "state",
        "limit",
        "meta_a",
        "meta_",
        "meta_%",
    ),
    *(
        "userdata-x",
        "userdata-<",
        "message",
        "userName",
        "hookID",
        "callbackURL",
        "eventID",
        "kind",
        "lang",
        "guestPolicy",
    ),
]
VALUES = st.one_of(
    st.sampled_from(
        ["", "course-77", "MODERATOR", "true", "false", "0", "-1", "99999", "\u00b2", "a,b", "%", "<&>", "\x00"]
    ),
    st.text(max_size=20),
)
PARAMETERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6)
#: Calls with other shapes: plain text, or JSON about a session that cannot be guessed.
OTHERS = {"hooks/ping", "enter", "stuns", "getJoinUrl"}
CALLS = sorted(set(RULES) - OTHERS)


def acceptable(call: str, parameters: Parameters, status: int, text: str) -> bool:
    if status == 302:
        return call == "join"
    if status == 500:
        return call == "join" and parameters.get("fullName") is None
    if text.startswith("{"):
        return call.endswith("TextTracks") or call.endswith("TextTrack")
    return text == "" or defusedxml.ElementTree.fromstring(text.encode()).tag == "response"


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=60)
@given(asked=st.lists(PARAMETERS, min_size=1, max_size=3))
def test_every_answer_is_well_formed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, call: str, asked: list[list[tuple[str, str]]]
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def ask() -> None:
        # As in BBB, an empty secret switches signatures off: this tests the calls, not the signatures.
        node = Node(NodeSettings("http://node.test", "", root=tmp_path))
        await post(node, "create", [("name", "Algebra"), ("meetingID", "course-77")])
        for pairs in asked:
            await post(node, call, pairs)
        await node.close()

    async def post(node: Node, name: str, pairs: list[tuple[str, str]]) -> None:
        query = "&".join(f"{key}={quote(value)}" for key, value in pairs).encode()
        parameters = Parameters.decode(query)
        method = RULES[name].methods[0]
        result = answer(node, Call(name, method, query, parameters))
        text = result.body if isinstance(result.body, str) else result.body.decode()
        assert acceptable(name, parameters, result.status, text), (name, pairs, result)

    asyncio.run(ask())
