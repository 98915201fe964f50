"""isMeetingRunning, getMeetingInfo, getMeetings, getSessions, index (reference 3.1, 3.4 to 3.7)."""

import pytest

from tests.eventually import until_async
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd

INFO = [
    *("returncode", "meetingName", "meetingID", "internalMeetingID", "createTime", "createDate", "voiceBridge"),
    *("dialNumber", "attendeePW", "moderatorPW", "running", "duration", "hasUserJoined", "recording"),
    *("hasBeenForciblyEnded", "startTime", "endTime", "participantCount", "listenerCount", "voiceParticipantCount"),
    *("videoCount", "maxUsers", "moderatorCount", "attendees", "metadata", "isBreakout"),
]
ATTENDEE = [
    *("userID", "fullName", "role", "isPresenter", "isListeningOnly", "hasJoinedVoice", "hasVideo", "clientType"),
]


async def test_info_describes_a_meeting_with_its_users_in_order(front: FrontEnd) -> None:
    await front.create(maxParticipants=1000, duration=30)
    await front.add_users(1, role="MODERATOR", voice=True, video=True)
    await front.add_users(2, listening=True)
    answer = await front.call("getMeetingInfo", meetingID="course-77")
    assert [each.tag for each in answer.xml] == INFO
    assert [each.tag for each in answer.xml.find("attendees/attendee") or ()] == ATTENDEE
    counts = {
        name: answer.get(name)
        for name in ("participantCount", "moderatorCount", "listenerCount", "voiceParticipantCount", "videoCount")
    }
    assert list(counts.values()) == ["3", "1", "2", "1", "1"]
    assert (answer.get("running"), answer.get("hasUserJoined"), answer.get("recording")) == ("true", "true", "false")
    presenters = [user.findtext("isPresenter") for user in answer.xml.iterfind("attendees/attendee")]
    assert presenters == ["true", "false", "false"]


async def test_start_time_comes_just_after_create_time(front: FrontEnd) -> None:
    created = await front.create()

    async def started() -> int:
        return int((await front.call("getMeetingInfo", meetingID="course-77")).get("startTime") or 0)

    start = await until_async(started)
    assert isinstance(start, int)
    assert 0 < start - int(created.get("createTime") or 0) < 2000


async def test_a_meeting_is_found_by_its_internal_id_too(front: FrontEnd) -> None:
    created = await front.create()
    answer = await front.call("getMeetingInfo", meetingID=created.get("internalMeetingID"))
    assert answer.get("meetingID") == "course-77"


@pytest.mark.parametrize("query", ["meetingID=nope", "meetingID=", ""])
async def test_unknown_meetings_are_not_found(front: FrontEnd, query: str) -> None:
    answer = await front.raw("getMeetingInfo", query)
    assert (answer.status, answer.key, answer.get("message")) == (
        200,
        "notFound",
        "A meeting with that ID does not exist",
    )


@pytest.mark.parametrize(
    ("query", "running"), [("meetingID=nope", "false"), ("", "false"), ("meetingID=course-77", "true")]
)
async def test_running_means_that_a_user_is_present(front: FrontEnd, query: str, running: str) -> None:
    await front.create()
    await front.add_users(1)
    answer = await front.raw("isMeetingRunning", query)
    assert [each.tag for each in answer.xml] == ["returncode", "running"]
    assert answer.get("running") == running


async def test_an_empty_meeting_id_is_a_size_error_for_is_meeting_running(front: FrontEnd) -> None:
    assert (await front.raw("isMeetingRunning", "meetingID=")).key == "sizeError"


async def test_no_meetings_keep_the_empty_element(front: FrontEnd) -> None:
    answer = await front.raw("getMeetings")
    assert "<meetings/>" in answer.text
    assert (answer.ok, answer.key, answer.get("message")) == (
        True,
        "noMeetings",
        "no meetings were found on this server",
    )


async def test_get_meetings_lists_all_with_the_elements_of_info(front: FrontEnd) -> None:
    for number in range(3):
        await front.create(f"room-{number}")
    answer = await front.raw("getMeetings")
    meetings = answer.xml.findall("meetings/meeting")
    assert [meeting.findtext("meetingID") for meeting in meetings] == ["room-0", "room-1", "room-2"]
    assert [each.tag for each in meetings[0]] == INFO[1:]
    assert answer.key is None


@pytest.mark.parametrize(("profile", "printed"), [("2.6", "1,000"), ("2.7", "1000"), ("3.0", "1000")])
async def test_2_6_prints_separators_in_get_meetings(start_node: StartNode, profile: str, printed: str) -> None:
    front = await start_node(profile=profile)
    await front.create(maxParticipants=1000)
    assert (await front.raw("getMeetings")).get("meetings/meeting/maxUsers") == printed
    assert (await front.call("getMeetingInfo", meetingID="course-77")).get("maxUsers") == "1000"


@pytest.mark.parametrize(("profile", "status"), [("2.5", 500), ("2.6", 200), ("3.0", 200)])
@pytest.mark.parametrize("call", ["getMeetingInfo", "end"])
async def test_2_5_answers_an_internal_id_with_an_internal_error(
    start_node: StartNode, profile: str, status: int, call: str
) -> None:
    front = await start_node(profile=profile, end_delay=60)
    internal = (await front.create()).get("internalMeetingID") or ""
    answer = await front.call(call, meetingID=internal)
    assert answer.status == status
    assert ("<returncode>SUCCESS" in answer.text) == (status == 200)
    assert (await front.call("end", meetingID="course-77")).ok
    absent = internal.replace("-", "-9")
    assert (await front.call(call, meetingID=absent)).key == "notFound"


@pytest.mark.parametrize(("profile", "running"), [("2.5", "false"), ("2.6", "true")])
async def test_2_5_reports_an_internal_id_as_not_running(start_node: StartNode, profile: str, running: str) -> None:
    front = await start_node(profile=profile)
    internal = (await front.create()).get("internalMeetingID")
    await front.add_users(1)
    assert (await front.call("isMeetingRunning", meetingID=internal)).get("running") == running
    assert (await front.call("isMeetingRunning", meetingID="course-77")).get("running") == "true"


@pytest.mark.parametrize(("profile", "lingers"), [("3.0", 1), ("2.7", 0)])
async def test_3_0_still_lists_users_that_just_left(start_node: StartNode, profile: str, lingers: int) -> None:
    front = await start_node(profile=profile)
    await front.create()
    await front.add_users(1)
    await front.control("DELETE", "/users", meetingID="course-77")
    listed = (await front.raw("getMeetings")).xml.find("meetings/meeting")
    assert listed is not None
    assert len(listed.findall("attendees/attendee")) == lingers
    assert listed.findtext("participantCount") == "0"
    info = await front.call("getMeetingInfo", meetingID="course-77")
    assert not info.xml.findall("attendees/attendee")
    assert (info.get("running"), info.get("hasUserJoined")) == ("true" if lingers else "false", "true")
    assert info.get("endTime") != "0"


async def test_sessions_name_internal_ids(front: FrontEnd) -> None:
    assert (await front.raw("getSessions")).get("message") == "no sessions were found on this serverr"
    created = await front.create()
    await front.add_users(1, name="Ada")
    answer = await front.raw("getSessions")
    assert answer.get("sessions/meeting/meetingID") == created.get("internalMeetingID")
    assert answer.get("sessions/meeting/userName") == "Ada 1"


@pytest.mark.parametrize("path", ["/bigbluebutton/api", "/bigbluebutton/api/", "/bigbluebutton/", "/bigbluebutton"])
async def test_the_index_needs_no_signature(front: FrontEnd, path: str) -> None:
    answer = await front.fetch(f"{path}?&checksum=whatever")
    assert (answer.get("version"), answer.get("apiVersion"), answer.get("bbbVersion")) == ("2.0", "2.0", "")
    assert answer.get("graphqlWebsocketUrl") == front.base.replace("http", "ws") + "/graphql"


async def test_the_index_speaks_json_when_asked_and_reveals_the_version_when_allowed(start_node: StartNode) -> None:
    front = await start_node(profile="2.7", reveal_version=True)
    answer = await front.fetch("/bigbluebutton/api", headers={"Content-Type": "application/json"})
    assert '"bbbVersion": "2.7.17"' in answer.text
    assert "graphql" not in answer.text


async def test_unknown_calls_and_methods_get_the_web_servers_page(front: FrontEnd) -> None:
    assert (await front.raw("noSuchCall")).status == 404
    assert (await front.raw("publishRecordings", method="POST")).status == 405
    assert (await front.raw("insertDocument")).status == 405
    assert (await front.raw("getMeetings", method="PUT")).status == 405


async def test_failures_are_json_when_negotiated(front: FrontEnd) -> None:
    answer = await front.raw("getMeetingInfo", "meetingID=nope", headers={"Accept": "application/json"})
    assert '"messageKey": "notFound"' in answer.text
