"""End, its callbacks, and expiry (reference 3.2.7, 3.8, 4)."""

import asyncio
import json
from urllib.parse import parse_qs

import pytest

from tests.eventually import until_async
from tests.simulator.callback_receiver import Receiver
from tests.simulator.callback_receiver import receiver as receiver
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd, sign

#: Short enough for a test, long enough to see the state before.
MINUTE = 0.6


async def gone(front: FrontEnd, meeting_id: str = "course-77") -> bool:
    return (await front.call("getMeetingInfo", meetingID=meeting_id)).key == "notFound"


async def test_end_is_asynchronous_and_repeatable_until_the_meeting_is_gone(start_node: StartNode) -> None:
    front = await start_node(end_delay=1)
    first = await front.create()
    for _ in range(2):
        answer = await front.call("end", meetingID="course-77")
        assert (answer.ok, answer.key) == (True, "sentEndMeetingRequest")
    assert (await front.create()).key == "duplicateWarning"
    await until_async(lambda: gone(front))
    assert (await front.call("end", meetingID="course-77")).key == "notFound"
    again = await front.create()
    assert again.key == ""
    assert again.get("createTime") != first.get("createTime")


async def test_an_old_create_time_is_refused_after_a_new_create(front: FrontEnd) -> None:
    old = (await front.create()).get("createTime")
    await front.call("end", meetingID="course-77")
    await until_async(lambda: gone(front))
    new = (await front.create()).get("createTime")
    join = {"meetingID": "course-77", "fullName": "Ada", "role": "VIEWER", "redirect": "false"}
    assert (await front.call("join", **join, createTime=old)).key == "mismatchCreateTimeParam"
    assert (await front.call("join", **join, createTime=new)).ok


@pytest.mark.parametrize(("profile", "key"), [("2.5", "invalidPassword"), ("2.6", "sentEndMeetingRequest")])
async def test_only_2_5_refuses_a_wrong_password(start_node: StartNode, profile: str, key: str) -> None:
    front = await start_node(profile=profile, end_delay=60)
    await front.create(moderatorPW="right")
    assert (await front.call("end", meetingID="course-77", password="wrong")).key == key
    assert (await front.call("end", meetingID="course-77", password="right")).ok


async def test_ending_a_parent_ends_its_breakouts(front: FrontEnd) -> None:
    await front.create("parent")
    await front.create("room", isBreakout="true", parentMeetingID="parent", sequence=1)
    await front.call("end", meetingID="parent")
    await until_async(lambda: gone(front, "room"))
    assert await gone(front, "parent")


async def test_end_callbacks_name_the_meeting_and_its_marks(front: FrontEnd, receiver: Receiver) -> None:
    await front.create(
        "a b&c",
        record="true",
        meta_endCallbackUrl=f"{receiver.url}/ended?token=1",
        meetingEndedURL=f"{receiver.url}/plain",
    )
    await front.add_users(1, meeting_id="a b&c")
    await front.control("POST", "/record", meetingID="a b&c")
    await front.call("end", meetingID="a b&c")
    await until_async(lambda: len(receiver.seen) == 2)
    assert ("GET", "/plain", "") in receiver.seen
    assert ("GET", "/ended?token=1&recordingmarks=true&meetingID=a+b%26c", "") in receiver.seen


async def test_a_refused_callback_is_repeated_and_redirects_are_not_followed(
    start_node: StartNode, receiver: Receiver
) -> None:
    front = await start_node(callback_delays=(0.0, 0.05, 0.05, 0.05))
    receiver.statuses = [500, 302]
    await front.create(meta_endCallbackUrl=receiver.url)
    await front.call("end", meetingID="course-77")
    await until_async(lambda: len(receiver.seen) == 3)
    outcomes = [attempt["outcome"] for attempt in await front.attempts()]
    assert outcomes == ["500", "302", "200"]
    assert "recordingmarks=false" in receiver.seen[0][1]


async def test_a_restart_loses_waiting_callbacks(start_node: StartNode, receiver: Receiver) -> None:
    front = await start_node(callback_delays=(0.0, 1.0))
    receiver.statuses = [500]
    await front.create(meta_endCallbackUrl=receiver.url)
    await front.call("end", meetingID="course-77")
    await until_async(lambda: len(receiver.seen) == 1)
    await front.control("POST", "/restart")
    await asyncio.sleep(1.3)
    assert len(receiver.seen) == 1


async def test_breakouts_send_no_callbacks(front: FrontEnd, receiver: Receiver) -> None:
    await front.create("parent")
    await front.create(
        "room", isBreakout="true", parentMeetingID="parent", sequence=1, meta_endCallbackUrl=f"{receiver.url}/room"
    )
    await front.create("other", meta_endCallbackUrl=f"{receiver.url}/other")
    for meeting_id in ("room", "other"):
        await front.call("end", meetingID=meeting_id)
    await until_async(lambda: receiver.seen)
    await until_async(lambda: gone(front, "room"))
    assert [path.partition("?")[0] for _, path, _ in receiver.seen] == ["/other"]


@pytest.mark.parametrize(
    ("parameters", "users"),
    [
        ({"meetingExpireIfNoUserJoinedInMinutes": 1}, "none"),
        ({"meetingExpireWhenLastUserLeftInMinutes": 1}, "left"),
        ({"duration": 1}, "stay"),
        ({"endWhenNoModerator": "true", "endWhenNoModeratorDelayInMinutes": 1}, "stay"),
    ],
)
async def test_each_timer_ends_a_meeting_after_its_minute(
    start_node: StartNode, parameters: dict[str, object], users: str
) -> None:
    front = await start_node(minute=MINUTE)
    await front.create(**parameters)
    if users != "none":
        await front.add_users(1)
    if users == "left":
        await front.control("DELETE", "/users", meetingID="course-77")
    assert not await gone(front)
    await until_async(lambda: gone(front))


async def test_users_keep_a_meeting_alive_beyond_the_timers_of_empty_ones(start_node: StartNode) -> None:
    front = await start_node(minute=MINUTE)
    await front.create(meetingExpireIfNoUserJoinedInMinutes=1, meetingExpireWhenLastUserLeftInMinutes=1)
    await front.add_users(1)
    await asyncio.sleep(MINUTE * 3)
    assert not await gone(front)


async def test_a_user_that_never_connected_is_removed(start_node: StartNode) -> None:
    front = await start_node(minute=MINUTE, users_timeout=0.1)
    await front.create(meetingExpireIfNoUserJoinedInMinutes=100)
    await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER")

    async def empty() -> bool:
        return not (await front.control("GET", "/users", meetingID="course-77"))["users"]

    await until_async(empty)


async def test_hooks_are_registered_listed_removed_and_signed(front: FrontEnd, receiver: Receiver) -> None:
    url = f"{receiver.url}/hook?x=1"
    made = await front.call("hooks/create", callbackURL=url, eventID="meeting-created,meeting-ended")
    assert [each.tag for each in made.xml] == ["returncode", "hookID", "permanentHook", "rawData"]
    again = await front.call("hooks/create", callbackURL=url)
    assert (again.key, again.get("hookID")) == ("duplicateWarning", made.get("hookID"))
    listed = (await front.raw("hooks/list")).xml.find("hooks/hook")
    assert listed is not None
    assert [each.tag for each in listed] == ["hookID", "callbackURL", "eventID", "permanentHook", "rawData"]
    await front.create()
    await until_async(lambda: receiver.seen)
    method, path, body = receiver.seen[0]
    fields = parse_qs(body)
    event = json.loads(fields["event"][0])[0]["data"]
    assert (method, event["id"]) == ("POST", "meeting-created")
    assert event["attributes"]["meeting"]["external-meeting-id"] == "course-77"
    assert list(fields) == ["domain", "event", "timestamp"]
    assert path.startswith("/hook?x=1&checksum=")
    assert (await front.call("hooks/destroy", hookID=made.get("hookID"))).get("removed") == "true"
    assert (await front.call("hooks/destroy", hookID=made.get("hookID"))).key == "destroyMissingHook"


async def test_hooks_refuse_in_their_own_words(front: FrontEnd) -> None:
    assert (await front.raw("hooks/create")).key == "missingParamCallbackURL"
    assert (await front.raw("hooks/destroy")).key == "missingParamHookID"
    answer = await front.fetch("/bigbluebutton/api/hooks/list?checksum=0")
    assert answer.get("message") == "You did not pass the checksum security check."
    assert (await front.fetch("/bigbluebutton/api/hooks/ping")).text == "bbb-webhooks API up!"


@pytest.mark.parametrize(
    ("call", "parameters", "key"),
    [
        ("hooks/create", {"callbackURL": "https://lms.example.org/cb"}, "createHookError"),
        ("hooks/destroy", {"hookID": "1"}, "destroyHookError"),
        ("hooks/list", {}, "listHookError"),
    ],
)
async def test_hooks_fail_in_their_own_words_without_redis(
    front: FrontEnd, call: str, parameters: dict[str, str], key: str
) -> None:
    await front.call("hooks/create", callbackURL="https://lms.example.org/first")
    await front.control("POST", "/settings", hooks_broken=True)
    answer = await front.call(call, **parameters)
    assert (answer.status, answer.get("returncode"), answer.key) == (200, "FAILED", key)
    await front.control("POST", "/settings", hooks_broken=False)
    assert len((await front.raw("hooks/list")).xml.findall("hooks/hook")) == 1


@pytest.mark.parametrize(
    ("profile", "algorithm", "taken"),
    [("3.0", "sha256", True), ("3.0", "sha1", True), ("2.7", "sha256", False), ("2.7", "sha1", True)],
)
async def test_hooks_before_3_0_accept_only_sha_1(
    start_node: StartNode, profile: str, algorithm: str, taken: bool
) -> None:
    front = await start_node(profile=profile)
    assert (await front.raw("hooks/list", algorithm=algorithm)).ok is taken
    assert (await front.raw("getMeetings", algorithm=algorithm)).ok


async def test_hooks_compare_checksums_case_sensitively(front: FrontEnd) -> None:
    """bbb-web accepts upper case from 3.0 on; bbb-webhooks does not."""
    for call, taken in (("hooks/list", False), ("getMeetings", True)):
        answer = await front.fetch(f"/bigbluebutton/api/{call}?checksum={sign(call, '').upper()}")
        assert answer.ok is taken
