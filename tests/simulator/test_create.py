"""create: answers, idempotency, refusals (reference 3.2)."""

import hashlib

import pytest

from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd, sign

ORDER = [
    *("returncode", "meetingID", "internalMeetingID", "parentMeetingID", "attendeePW", "moderatorPW", "createTime"),
    *("voiceBridge", "dialNumber", "createDate", "hasUserJoined", "duration", "hasBeenForciblyEnded"),
    *("messageKey", "message"),
]


async def test_a_fresh_meeting_has_every_element_in_order_and_empty_messages(front: FrontEnd) -> None:
    answer = await front.create("course-77")
    assert [each.tag for each in answer.xml] == ORDER
    created = answer.get("createTime")
    prefix = hashlib.sha1(b"course-77").hexdigest()
    assert prefix == "e0666d842897ee73452acc0d4239d02147a9c960"
    assert answer.get("internalMeetingID") == f"{prefix}-{created}"
    assert (answer.get("parentMeetingID"), answer.get("messageKey"), answer.get("message")) == ("bbb-none", "", "")
    assert len(answer.get("attendeePW") or "") == len(answer.get("moderatorPW") or "") == 8
    assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_creating_again_without_passwords_is_a_duplicate_of_the_first(front: FrontEnd) -> None:
    first = await front.create(name="First")
    second = await front.create(name="Second", meta_foo="bar")
    assert second.key == "duplicateWarning"
    assert second.get("message") == "This conference was already in existence and may currently be in progress."
    assert second.get("createTime") == first.get("createTime")
    assert (await front.call("getMeetingInfo", meetingID="course-77")).get("meetingName") == "First"


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ({"attendeePW": "aa", "moderatorPW": "mm"}, {"attendeePW": "aa", "moderatorPW": "mm"}, "duplicateWarning"),
        ({"attendeePW": "aa", "moderatorPW": "mm"}, {}, "duplicateWarning"),
        ({"attendeePW": "aa", "moderatorPW": "mm"}, {"attendeePW": "aa"}, "idNotUnique"),
        ({"attendeePW": "aa", "moderatorPW": "mm"}, {"attendeePW": "aa", "moderatorPW": "xx"}, "idNotUnique"),
        # The first create got generated passwords, so no client can send the same ones.
        ({}, {"attendeePW": "aa", "moderatorPW": "mm"}, "idNotUnique"),
    ],
)
async def test_passwords_decide_over_a_duplicate(
    front: FrontEnd, first: dict[str, str], second: dict[str, str], key: str
) -> None:
    await front.create(**first)
    answer = await front.call("create", name="Algebra", meetingID="course-77", **second)
    assert (answer.key, answer.ok) == (key, key == "duplicateWarning")
    if key == "idNotUnique":
        text = "A meeting already exists with that meeting ID.  Please use a different meeting ID."
        assert answer.get("message") == text


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        ("meetingID=course-77", "nullError", "You must provide a meeting name"),
        ("name=&meetingID=course-77", "emptyError", "You must provide a meeting name"),
        ("name=A&meetingID=course-77", "sizeError", "Meeting name must be between 2 and 256 characters"),
        (f"name={'x' * 257}&meetingID=cc", "sizeError", "Meeting name must be between 2 and 256 characters"),
        ("name=Algebra", "validationError", "Invalid meeting ID"),
        ("name=Algebra&meetingID=", "sizeError", "Meeting ID must be between 2 and 256 characters"),
        ("name=Algebra&meetingID=%20course", "validationError", "Invalid meeting ID"),
        ("name=Algebra&meetingID=cou%00rse", "validationError", "Invalid meeting ID"),
        ("name=Algebra&meetingID=a,b", "validationError", "Meeting ID cannot contain ','"),
        ("name=Algebra&meetingID=cc&record=yes", "validationError", "Record must be a boolean value (true or false)"),
        ("name=Algebra&meetingID=cc&voiceBridge=x", "validationError", "Voice bridge must be an integral value"),
        ("name=Algebra&meetingID=cc&attendeePW=x", "invalidPassword", "Invalid password"),
        (
            "name=Algebra&meetingID=cc&presentationUploadExternalUrl=nowhere",
            "validationError",
            "Param 'presentationUploadExternalUrl' is not a valid URL",
        ),
    ],
)
async def test_each_violation_is_named_as_bbb_names_it(front: FrontEnd, query: str, key: str, message: str) -> None:
    answer = await front.raw("create", query)
    assert (answer.status, answer.get("returncode"), answer.key, answer.get("message")) == (200, "FAILED", key, message)


async def test_voice_bridges_are_unique_and_a_taken_one_answers_in_the_second_envelope(front: FrontEnd) -> None:
    await front.create("first", voiceBridge="70001")
    answer = await front.call("create", name="Algebra", meetingID="second", voiceBridge="70001")
    assert answer.get("returncode") == "FAILED"
    assert answer.key is None
    assert answer.get("errors/error/key") == "nonUniqueVoiceBridge"
    assert answer.get("errors/error/message") == "The selected voice bridge is already in use."
    bridges = {(await front.create(f"room-{n}")).get("voiceBridge") or "" for n in range(30)}
    assert len(bridges) == 30
    assert all(len(bridge) == 5 and bridge != "99999" for bridge in bridges)


async def test_two_nodes_number_their_bridges_independently(start_node: StartNode) -> None:
    nodes = [await start_node(), await start_node()]
    bridges = [[(await node.create(f"room-{n}")).get("voiceBridge") for n in range(5)] for node in nodes]
    assert bridges[0] != bridges[1]


async def test_the_test_bridge_makes_a_meeting_that_no_lookup_finds(front: FrontEnd) -> None:
    answer = await front.create("trap", voiceBridge="99999")
    assert not (answer.get("internalMeetingID") or "").startswith(hashlib.sha1(b"trap").hexdigest())
    assert (await front.call("getMeetingInfo", meetingID="trap")).key == "notFound"
    assert "trap" in (await front.raw("getMeetings")).text


async def test_metadata_names_are_lowered_and_odd_ones_ignored(front: FrontEnd) -> None:
    await front.create(**{"meta_bbb-Origin": "Moodle & more", "meta_a_b": "x", "meta_1a": "y", "record": "true"})
    info = await front.call("getMeetingInfo", meetingID="course-77")
    found = {each.tag: each.text for each in info.xml.find("metadata") or ()}
    assert found == {
        "bbb-origin": "Moodle & more",
        "isBreakout": "false",
        "meetingId": "course-77",
        "meetingName": "Algebra",
    }


async def test_breakouts_need_a_parent_that_exists(front: FrontEnd) -> None:
    answer = await front.call("create", name="Room", meetingID="room", isBreakout="true")
    assert answer.key == "parentMeetingIDMissing"
    answer = await front.call("create", name="Room", meetingID="room", isBreakout="true", parentMeetingID="nope")
    assert answer.key == "parentMeetingDoesNotExist"


async def test_a_breakout_belongs_to_its_parent(front: FrontEnd) -> None:
    parent = await front.create("parent", meta_course="7")
    room = await front.create(
        "room", isBreakout="true", parentMeetingID="parent", sequence=2, freeJoin="true", voiceBridge=""
    )
    assert room.get("voiceBridge") == f"{parent.get('voiceBridge')}2"
    info = (await front.call("getMeetingInfo", meetingID="room")).xml
    assert [each.tag for each in info][-4:] == ["isBreakout", "parentMeetingID", "sequence", "freeJoin"]
    assert info.findtext("parentMeetingID") == parent.get("internalMeetingID")
    assert info.findtext("metadata/course") == "7"
    assert (await front.call("getMeetingInfo", meetingID="parent")).get("breakoutRooms/breakout") == "room"


@pytest.mark.parametrize("kind", ["application/xml", "text/xml", "application/xml; charset=UTF-8"])
async def test_slides_come_as_an_xml_body_that_is_not_signed(front: FrontEnd, kind: str) -> None:
    body = (
        '<modules><module name="presentation"><document url="https://x.org/a.pdf" filename="a.pdf"/></module></modules>'
    )
    options = {"method": "POST", "data": body.encode(), "headers": {"Content-Type": kind}}
    assert (await front.call("create", options, name="Algebra", meetingID="course-77")).ok
    meetings = (await front.control("GET", "/meetings"))["meetings"]
    assert meetings[0]["documents"] == ["a.pdf"]


@pytest.mark.parametrize(("profile", "accepted"), [("3.0", False), ("2.6", False), ("2.6.10", True)])
async def test_a_body_of_another_type_is_refused_from_2_6_18(
    start_node: StartNode, profile: str, accepted: bool
) -> None:
    front = await start_node(profile=profile)
    options = {"method": "POST", "data": b"<modules/>", "headers": {"Content-Type": "text/plain"}}
    answer = await front.call("create", options, name="Algebra", meetingID="course-77")
    assert answer.ok is accepted
    if not accepted:
        message = "POST request Content-Type is missing or unsupported"
        assert (answer.key, answer.get("message")) == ("unsupportedContentType", message)


async def test_a_wrong_signature_is_reported_before_a_wrong_content_type(front: FrontEnd) -> None:
    query = "name=Algebra&meetingID=course-77&checksum=" + "0" * 64
    headers = {"Content-Type": "text/plain"}
    answer = await front.fetch(f"/bigbluebutton/api/create?{query}", "POST", data=b"x", headers=headers)
    assert answer.key == "checksumError"


@pytest.mark.parametrize(("profile", "status"), [("3.0", 200), ("2.7", 500)])
async def test_malformed_xml_is_named_in_later_releases_only(start_node: StartNode, profile: str, status: int) -> None:
    front = await start_node(profile=profile)
    options = {"method": "POST", "data": b"<modules>", "headers": {"Content-Type": "application/xml"}}
    answer = await front.call("create", options, name="Algebra", meetingID="course-77")
    assert answer.status == status
    assert "malformedXml" in answer.text if status == 200 else "<html>" in answer.text


async def test_expect_100_continue_is_answered(front: FrontEnd) -> None:
    query = "name=Algebra&meetingID=course-77"
    headers = {"Content-Type": "application/xml"}
    path = f"/bigbluebutton/api/create?{query}&checksum={sign('create', query)}"
    answer = await front.fetch(path, "POST", data=b"<modules/>" * 1, headers=headers, expect100=True)
    assert answer.ok


async def test_a_request_line_beyond_the_limit_is_nginx_414(front: FrontEnd) -> None:
    answer = await front.call("create", name="Algebra", meetingID="course-77", meta_long="x" * 9000)
    assert answer.status == 414
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_a_node_can_be_set_to_generate_no_passwords(start_node: StartNode) -> None:
    front = await start_node(random_passwords=False)
    answer = await front.create()
    assert answer.get("attendeePW") is None
    assert answer.get("moderatorPW") is None
    assert (await front.create()).key == "duplicateWarning"


@pytest.mark.parametrize(
    ("profile", "taken"),
    [("3.0", ["a.pdf", "inline.pdf"]), ("2.7", ["a.pdf", "plain.pdf", "local.pdf", "inline.pdf"])],
)
async def test_3_0_fetches_slides_from_allowed_places_only(
    start_node: StartNode, profile: str, taken: list[str]
) -> None:
    """The create succeeds anyway: the node silently drops what it may not download."""
    front = await start_node(profile=profile)
    body = (
        b'<modules><module name="presentation"><document url="https://x.org/a.pdf" filename="a.pdf"/>'
        b'<document url="http://x.org/plain.pdf" filename="plain.pdf"/>'
        b'<document url="https://localhost/local.pdf" filename="local.pdf"/>'
        b'<document name="inline.pdf">AAAA</document></module></modules>'
    )
    options = {"method": "POST", "data": body, "headers": {"Content-Type": "application/xml"}}
    assert (await front.call("create", options, name="Algebra", meetingID="course-77")).ok
    assert (await front.control("GET", "/meetings"))["meetings"][0]["documents"] == taken


@pytest.mark.parametrize(("profile", "taken"), [("3.0", ["a.pdf"]), ("2.6", [])])
async def test_slides_may_be_linked_without_a_body_from_2_7_2(
    start_node: StartNode, profile: str, taken: list[str]
) -> None:
    front = await start_node(profile=profile)
    await front.create(preUploadedPresentation="https://x.org/slides/a.pdf")
    assert (await front.control("GET", "/meetings"))["meetings"][0]["documents"] == taken


async def test_a_web_voice_number_in_use_is_refused_like_a_bridge(front: FrontEnd) -> None:
    await front.create("one", voiceBridge="71111", webVoice="72222")
    for taken in ({"voiceBridge": "72222"}, {"webVoice": "71111"}):
        answer = await front.call("create", name="Two", meetingID="two", **taken)
        assert answer.get("errors/error/key") == "nonUniqueVoiceBridge"
    await front.create("three", voiceBridge="73333")


@pytest.mark.parametrize("call", ["create", "join", "getMeetings", "end", ""])
async def test_a_node_whose_service_is_switched_off_reports_it(front: FrontEnd, call: str) -> None:
    await front.control("POST", "/settings", service_enabled=False)
    answer = await front.raw(call)
    assert (answer.status, answer.key) == (200, "apiNotEnabled")
    assert (await front.call("getRecordings")).ok
    await front.control("POST", "/settings", service_enabled=True)
    assert (await front.raw("getMeetings")).ok
