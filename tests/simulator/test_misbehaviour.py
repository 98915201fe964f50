"""A node's faults, and the control API."""

import asyncio
import hashlib
import time
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import ParseError

import aiohttp
import pytest

from tests.eventually import until_async
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import SECRET, FrontEnd, sign


async def break_it(front: FrontEnd, kind: str, **parameters: object) -> int:
    number: int = (await front.control("POST", "/misbehaviour", kind=kind, **parameters))["id"]
    return number


async def test_slow_delays_only_the_calls_named(front: FrontEnd) -> None:
    number = await break_it(front, "slow", calls=["getMeetings"], seconds=3600)
    assert (await front.raw("isMeetingRunning", "meetingID=xx")).ok
    await front.control("DELETE", "/misbehaviour", id=number)
    await break_it(front, "slow", calls=["getMeetings"], seconds=0.3)
    started = time.monotonic()
    assert (await front.raw("getMeetings")).ok
    assert time.monotonic() - started >= 0.3


async def test_hang_lasts_until_mended(front: FrontEnd) -> None:
    await break_it(front, "hang", times=1)
    # A POST, because the client would repeat a GET on a broken connection.
    waiting = asyncio.create_task(front.raw("getMeetings", method="POST"))

    async def hanging() -> bool:
        running: object = (await front.control("GET", "/"))["running"]
        return running == {"getMeetings": 1}

    await until_async(hanging)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await front.control("DELETE", "/misbehaviour")
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert (await front.raw("getMeetings")).ok


async def test_a_hanging_call_ends_when_its_client_disconnects(front: FrontEnd) -> None:
    await break_it(front, "hang")
    with pytest.raises(TimeoutError):
        await front.raw("getMeetings", timeout=aiohttp.ClientTimeout(total=0.2))

    async def idle() -> bool:
        return (await front.control("GET", "/"))["running"] == {}

    await until_async(idle)


async def test_refuse_resets_the_connection(front: FrontEnd) -> None:
    await break_it(front, "refuse", times=1)
    with pytest.raises(aiohttp.ClientError):
        await front.raw("getMeetings", method="POST")
    assert (await front.raw("getMeetings")).ok


async def test_deaf_refuses_connections_for_its_time(front: FrontEnd) -> None:
    await break_it(front, "deaf", seconds=1)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(front.base)

        async def hears() -> bool:
            try:
                async with session.get(front.base) as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectorError:
                return False

        await until_async(hears)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_error_answers_a_web_servers_page(front: FrontEnd, status: int) -> None:
    await break_it(front, "error", status=status, times=1)
    answer = await front.raw("getMeetings")
    assert (answer.status, answer.text[:6]) == (status, "<html>")


async def test_html_instead_of_xml_has_status_200(front: FrontEnd) -> None:
    await break_it(front, "html", times=1)
    answer = await front.raw("getMeetings")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html;charset=utf-8")


async def test_truncated_xml_is_a_whole_http_answer(front: FrontEnd) -> None:
    await break_it(front, "truncated", times=1)
    answer = await front.raw("getMeetings")
    assert answer.status == 200
    with pytest.raises(ParseError):
        answer.get("returncode")


async def test_cut_breaks_off_within_the_announced_length(front: FrontEnd) -> None:
    await break_it(front, "cut", times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await front.raw("getMeetings")


async def test_checksum_refuses_right_signatures(front: FrontEnd) -> None:
    await break_it(front, "checksum", calls=["getMeetings"])
    assert (await front.raw("getMeetings")).key == "checksumError"
    assert (await front.create()).ok


@pytest.mark.parametrize(("kind", "header"), [("skew", 3600), ("backdate", 0)])
async def test_skew_moves_the_nodes_clock_and_its_header(front: FrontEnd, kind: str, header: int) -> None:
    number = await break_it(front, kind, seconds=3600)
    answer = await front.create("ahead")
    assert abs(int(answer.get("createTime") or 0) / 1000 - time.time() - 3600) < 10
    assert abs(parsedate_to_datetime(str(answer.headers["Date"])).timestamp() - time.time() - header) < 10
    await front.control("DELETE", "/misbehaviour", id=number)
    assert abs(int((await front.create("right")).get("createTime") or 0) / 1000 - time.time()) < 10


async def test_frozen_repeats_old_statistics_while_the_node_works(front: FrontEnd) -> None:
    await front.create("before")
    await break_it(front, "frozen")
    await front.create("after")
    await front.add_users(5, meeting_id="before")
    answer = await front.raw("getMeetings")
    assert [each.text for each in answer.xml.iter("meetingID")] == ["before"]
    assert answer.get("meetings/meeting/participantCount") == "0"
    assert (await front.call("getMeetingInfo", meetingID="before")).get("participantCount") == "0"
    # Later meetings are reported as they are, so that joining them works.
    assert (await front.call("getMeetingInfo", meetingID="after")).ok
    await front.control("DELETE", "/misbehaviour")
    assert len((await front.raw("getMeetings")).xml.findall("meetings/meeting")) == 2


async def test_after_carries_the_call_out_first(front: FrontEnd) -> None:
    await break_it(front, "error", calls=["create"], after=True, times=1)
    assert (await front.call("create", name="Algebra", meetingID="course-77")).status == 500
    assert (await front.call("getMeetingInfo", meetingID="course-77")).ok


async def test_restart_forgets_meetings_but_keeps_hooks(front: FrontEnd) -> None:
    await front.create()
    await front.call("hooks/create", callbackURL="http://127.0.0.1:9/x")
    await front.control("POST", "/restart", down_seconds=0.2)

    async def back() -> bool:
        try:
            return (await front.raw("getMeetings")).key == "noMeetings"
        except aiohttp.ClientError:
            return False

    await until_async(back)
    assert (await front.raw("hooks/list")).get("hooks/hook/hookID") == "1"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"kind": "unknown"}, {"kind": "slow", "second": 3}, {"kind": "deaf"}, {"kind": "hang", "times": 0}],
)
async def test_an_invalid_fault_is_refused(front: FrontEnd, parameters: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    answer = await front.fetch("/simulator/misbehaviour", "POST", json=parameters, headers=headers)
    assert answer.status == 400
    assert "error" in answer.text


async def test_the_control_api_needs_the_secret(front: FrontEnd) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert (await front.fetch("/simulator/", headers=headers)).status == 401


async def test_requests_are_kept_byte_for_byte(front: FrontEnd) -> None:
    query = "name=A%20b+c&meetingID=course-77&meta_x=%E4%f6"
    body = b"<modules/>\n\xc3\xa4"
    headers = {"Content-Type": "application/xml", "X-Odd": "yes"}
    await front.raw("create", query, method="POST", data=body, headers=headers)
    await front.raw("getMeetings")
    seen = (await front.control("GET", "/requests", call="create"))["requests"]
    assert len(seen) == 1
    assert seen[0]["method"] == "POST"
    assert seen[0]["path"] == "/bigbluebutton/api/create"
    assert seen[0]["raw_query"] == f"{query}&checksum={sign('create', query)}"
    assert seen[0]["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert ["X-Odd", "yes"] in seen[0]["headers"]
    later = (await front.control("GET", "/requests", after=seen[0]["number"]))["requests"]
    assert [each["call"] for each in later] == ["getMeetings"]


async def test_concurrent_calls_are_counted(front: FrontEnd) -> None:
    await break_it(front, "slow", seconds=1)
    await asyncio.gather(*(front.raw("getMeetings") for _ in range(5)))
    state = await front.control("GET", "/")
    assert state["most_at_once"]["getMeetings"] == 5
    assert state["calls"]["getMeetings"] == 5


async def test_crowds_come_and_go(front: FrontEnd) -> None:
    await front.create(maxParticipants=50)
    assert len(await front.add_users(60)) == 50
    removed = await front.control("DELETE", "/users", meetingID="course-77", count=20)
    assert removed == {"removed": 20}
    assert (await front.call("getMeetingInfo", meetingID="course-77")).get("participantCount") == "30"


async def test_nodes_of_one_process_share_nothing(start_node: StartNode) -> None:
    first, second = await start_node(), await start_node()
    await first.create()
    await break_it(first, "error")
    assert (await second.raw("getMeetings")).key == "noMeetings"
