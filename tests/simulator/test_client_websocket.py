"""The client page's websocket, without a browser."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.eventually import until_async
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd


async def session(front: FrontEnd, **parameters: str) -> tuple[str, str]:
    """Join like a browser; return the websocket's address and the cookie."""
    answer = await front.call("join", **{"meetingID": "course-77", "fullName": "Ada", "role": "VIEWER", **parameters})
    query = urlsplit(str(answer.headers["Location"])).query
    cookie = SimpleCookie(str(answer.headers["Set-Cookie"]))["JSESSIONID"].value
    return f"{front.base}/graphql?{query}", cookie


@asynccontextmanager
async def page(front: FrontEnd, **parameters: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    address, cookie = await session(front, **parameters)
    async with front.session.ws_connect(address, headers={"Cookie": f"JSESSIONID={cookie}"}) as socket:
        assert (await socket.receive_json())["type"] == "state"
        yield socket


async def present(front: FrontEnd) -> int:
    return int((await front.call("getMeetingInfo", meetingID="course-77")).get("participantCount") or 0)


async def test_a_user_counts_from_connection_to_disconnection(front: FrontEnd) -> None:
    await front.create()
    async with page(front):
        assert await present(front) == 1

    async def gone() -> bool:
        return await present(front) == 0

    await until_async(gone)


@pytest.mark.parametrize("header", [{}, {"Cookie": "JSESSIONID=wrong"}])
async def test_without_the_cookie_the_session_is_refused(front: FrontEnd, header: dict[str, str]) -> None:
    await front.create()
    address, _ = await session(front)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await front.session.ws_connect(address, headers=header)
    assert refused.value.status == 401


async def test_a_session_dies_with_its_meeting(front: FrontEnd) -> None:
    await front.create()
    address, cookie = await session(front)
    async with page(front) as socket:
        await front.call("end", meetingID="course-77")
        while (answer := await socket.receive_json())["type"] != "over":
            pass
        assert answer["text"] == "The meeting has ended."
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await front.session.ws_connect(address, headers={"Cookie": f"JSESSIONID={cookie}"})


@pytest.mark.parametrize(("profile", "stay"), [("3.0", 3), ("2.7", 4)])
async def test_3_0_ejects_the_oldest_of_four_sessions_of_one_person(
    start_node: StartNode, profile: str, stay: int
) -> None:
    front = await start_node(profile=profile)
    await front.create()
    pages = [page(front, userID="ada") for _ in range(4)]
    sockets = [await each.__aenter__() for each in pages]
    assert await present(front) == stay
    if stay == 3:
        while (answer := await sockets[0].receive_json())["type"] != "over":
            pass
        assert answer["text"] == "You joined from another place."
    for each in pages:
        await each.__aexit__(None, None, None)


async def test_a_meeting_that_has_filled_up_refuses_the_page(front: FrontEnd) -> None:
    await front.create(maxParticipants="1")
    address, cookie = await session(front)
    await front.add_users(1)
    async with front.session.ws_connect(address, headers={"Cookie": f"JSESSIONID={cookie}"}) as socket:
        assert (await socket.receive_json())["text"] == "The meeting is full."
    assert await present(front) == 1


async def test_the_clients_own_calls_need_its_session(start_node: StartNode) -> None:
    front = await start_node(profile="2.7")
    await front.create()
    address, cookie = await session(front, userID="ada")
    query = urlsplit(address).query
    own = {"headers": {"Cookie": f"JSESSIONID={cookie}"}}
    entered = json.loads((await front.fetch(f"/bigbluebutton/api/enter?{query}", **own)).text)["response"]
    assert (entered["fullname"], entered["externMeetingID"], entered["externUserID"]) == ("Ada", "course-77", "ada")
    assert "stunServers" in (await front.fetch(f"/bigbluebutton/api/stuns?{query}", **own)).text
    refused = json.loads((await front.fetch(f"/bigbluebutton/api/enter?{query}")).text)["response"]
    assert refused["messageKey"] == "missingSession"
    assert (await front.fetch(f"/bigbluebutton/api/signOut?{query}", **own)).ok
    assert (await front.fetch(f"/bigbluebutton/api/signOut?{query}", **own)).ok
    refused = json.loads((await front.fetch(f"/bigbluebutton/api/enter?{query}", **own)).text)["response"]
    assert refused["returncode"] == "FAILED"


async def test_a_session_can_ask_for_a_join_link_that_works(front: FrontEnd) -> None:
    await front.create()
    address, cookie = await session(front, userID="ada")
    headers = {"Cookie": f"JSESSIONID={cookie}"}
    answer = await front.fetch(f"/bigbluebutton/api/getJoinUrl?{urlsplit(address).query}", headers=headers)
    link = json.loads(answer.text)["response"]["url"]
    assert (await front.fetch(link.removeprefix(front.base))).status == 302
    assert (await front.fetch(f"/bigbluebutton/api/enter?{urlsplit(address).query}", headers=headers)).status == 404


async def test_a_restart_closes_pages(front: FrontEnd) -> None:
    await front.create()
    async with page(front) as socket:
        await front.control("POST", "/restart", down_seconds=0.1)
        while (received := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert received.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


async def test_a_viewer_cannot_press_record_or_admit(front: FrontEnd) -> None:
    await front.create(record="true", guestPolicy="ASK_MODERATOR")
    async with page(front, guest="false") as socket:
        guest, cookie = await session(front, guest="true", fullName="Bob")
        async with front.session.ws_connect(guest, headers={"Cookie": f"JSESSIONID={cookie}"}) as waiting:
            assert (await waiting.receive_json())["waiting"] is True
            users = (await front.control("GET", "/users", meetingID="course-77"))["users"]
            bob = next(user for user in users if user["name"] == "Bob")
            await socket.send_json({"type": "record", "on": True})
            await socket.send_json({"type": "admit", "user": bob["internalUserID"]})
            await socket.send_json({"type": "voice", "on": True})

            async def has_voice() -> bool:
                return (await front.call("getMeetingInfo", meetingID="course-77")).get("voiceParticipantCount") == "1"

            await until_async(has_voice)
            meeting = (await front.control("GET", "/meetings"))["meetings"][0]
            assert meeting["recording"] is False
            assert await present(front) == 1
