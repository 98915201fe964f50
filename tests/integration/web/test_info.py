"""isMeetingRunning, getMeetingInfo, end, insertDocument and sendChatMessage: the node that has the meeting answers."""

import hashlib
import time

import pytest

from balancer.core.nodes import ObservedState
from lab.simulator.bbb_releases import PROFILES
from tests.integration.web.cluster import API, Answer, Cluster, path, read, sign

DOCUMENT = (
    b'<?xml version="1.0"?><modules><module name="presentation">'
    b'<document url="https://files.example.org/a.pdf" filename="a.pdf"/></module></modules>'
)


def insert(cluster: Cluster, meeting_id: str, body: bytes = DOCUMENT, label: str = "application/xml") -> Answer:
    target = path("insertDocument", meetingID=meeting_id)
    return read(cluster.app.test_client().post(target, data=body, content_type=label))


@pytest.mark.parametrize("call", ["getMeetingInfo", "isMeetingRunning", "end"])
def test_a_form_that_fits_no_url_stays_a_form(cluster: Cluster, call: str) -> None:
    cluster.create("course-1")
    form = {"meetingID": "course-1", "more": "x" * 50_000, "checksum": sign(call, "")}
    home = cluster.home("course-1")
    assert read(cluster.app.test_client().post(f"{API}/{call}", data=form)).success
    (seen,) = cluster.requests(home, call)
    assert (seen.method, seen.body_bytes > 50_000) == ("POST", True)


def test_what_bbb_takes_no_form_for_fails_readably_if_it_is_too_long(cluster: Cluster) -> None:
    cluster.create("course-1")
    chat = cluster.call("sendChatMessage", meetingID="course-1", message="x" * 6000)
    target = path("insertDocument", meetingID="course-1", more="x" * 6000)
    slides = read(cluster.app.test_client().post(target, data="<modules/>", content_type="text/xml"))
    for answer in (chat, slides):
        assert answer.key == "validationError"
        assert "too long" in answer["message"]


def test_a_meeting_with_people_in_it_is_running(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.let_in(cluster.home("course-1"), "course-1", 2)
    assert cluster.call("isMeetingRunning", meetingID="course-1")["running"] == "true"
    assert cluster.call("getMeetingInfo", meetingID="course-1")["participantCount"] == "2"


def test_the_internal_id_serves_too(cluster: Cluster) -> None:
    internal = cluster.create("course-1")["internalMeetingID"]
    assert cluster.call("getMeetingInfo", meetingID=internal)["meetingID"] == "course-1"


@pytest.mark.parametrize(
    ("call", "parameters", "key"),
    [
        ("isMeetingRunning", {"meetingID": ""}, "sizeError"),
        ("isMeetingRunning", {"meetingID": "x"}, "sizeError"),
        ("isMeetingRunning", {"meetingID": "x" * 257}, "sizeError"),
        # If several things are wrong, a node reports one of them.
        ("getMeetingInfo", {"meetingID": "x"}, "notFound"),
        ("end", {"meetingID": "x"}, "notFound"),
        ("join", {"meetingID": "x", "fullName": "Ann"}, "meetingForciblyEnded"),
        ("getMeetingInfo", {"meetingID": "unknown"}, "notFound"),
        ("getMeetingInfo", {"meetingID": ""}, "notFound"),
        ("getMeetingInfo", {}, "notFound"),
        ("end", {"meetingID": "unknown"}, "notFound"),
        ("end", {}, "missingParamMeetingID"),
        ("sendChatMessage", {"meetingID": "unknown", "message": "hello"}, "meetingNotFound"),
        ("sendChatMessage", {"message": "hello"}, "missingParamMeetingID"),
    ],
)
def test_what_is_not_known_is_answered_without_a_node(
    cluster: Cluster, call: str, parameters: dict[str, str], key: str
) -> None:
    assert cluster.call(call, **parameters).key == key
    assert not cluster.requests("bbb1", call)
    assert not cluster.requests("bbb2", call)


@pytest.mark.parametrize("parameters", [{}, {"meetingID": "unknown"}])
def test_an_unknown_meeting_is_not_running(cluster: Cluster, parameters: dict[str, str]) -> None:
    answer = cluster.call("isMeetingRunning", **parameters)
    assert (answer.success, answer["running"]) == (True, "false")


def test_two_different_meeting_ids_in_one_call_are_refused(cluster: Cluster) -> None:
    cluster.create("course-1")
    query = "meetingID=course-1&meetingID=course-2"
    answer = read(cluster.app.test_client().get(path("getMeetingInfo", query)))
    assert answer.key == "validationError"


@pytest.mark.parametrize("call", ["isMeetingRunning", "getMeetingInfo", "end"])
@pytest.mark.parametrize("fault", ["hang", "error", "html", "refuse", "checksum", "cut"])
def test_a_node_that_gives_no_answer_makes_a_failure_soon(cluster: Cluster, call: str, fault: str) -> None:
    cluster.create("course-1")
    cluster.misbehave(cluster.home("course-1"), fault, calls=[call])
    before = time.monotonic()
    answer = cluster.call(call, meetingID="course-1")
    assert (answer.success, answer.key) == (False, "internalError")
    assert time.monotonic() - before < 4
    assert [state for _, state in cluster.states("course-1")] == ["running"]


@pytest.mark.parametrize("call", ["isMeetingRunning", "getMeetingInfo", "end"])
def test_of_a_node_known_to_be_away_nothing_is_asked(cluster: Cluster, call: str) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.observe(home, ObservedState.UNREACHABLE)
    answer = cluster.call(call, meetingID="course-1")
    assert answer.key == "internalError"
    assert "cannot be reached" in answer["message"]
    assert not cluster.requests(home, call)


def test_a_node_that_is_back_is_asked_again(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.observe(cluster.home("course-1"), ObservedState.UNREACHABLE)
    cluster.poll()
    cluster.poll()
    assert cluster.call("getMeetingInfo", meetingID="course-1").success


def test_no_call_is_ever_sent_twice(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.misbehave(home, "refuse", calls=["end", "getMeetingInfo"])
    cluster.call("end", meetingID="course-1")
    cluster.call("getMeetingInfo", meetingID="course-1")
    assert [len(cluster.requests(home, call)) for call in ("end", "getMeetingInfo")] == [1, 1]


def test_slides_are_inserted(cluster: Cluster) -> None:
    cluster.create("course-1")
    answer = insert(cluster, "course-1")
    assert answer["message"] == "Presentation is being uploaded"
    (seen,) = cluster.requests(cluster.home("course-1"), "insertDocument")
    assert seen.body_sha256 == hashlib.sha256(DOCUMENT).hexdigest()


def test_slides_need_a_meeting_a_body_and_a_post(cluster: Cluster) -> None:
    cluster.create("course-1")
    assert insert(cluster, "unknown").key == "notFound"
    assert insert(cluster, "course-1", b"").key == "validationError"
    assert insert(cluster, "course-1", b"{}", "application/json").key == "unsupportedContentType"
    assert cluster.call("insertDocument", meetingID="course-1").key == "unsupportedRequest"


def test_a_chat_message_arrives(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.let_in(cluster.home("course-1"), "course-1", 1)
    assert cluster.call("sendChatMessage", meetingID="course-1", message="hello").success


def test_an_end_with_a_wrong_password_forgets_nothing(cluster: Cluster) -> None:
    cluster.add("bbb3", profile=PROFILES["2.5"])
    cluster.poll()
    for name in ("bbb1", "bbb2"):
        cluster.execute("UPDATE nodes SET admin_state = 'disabled' WHERE name = %s", name)
    created = cluster.create("course-1", moderatorPW="moderator", attendeePW="attendee")
    assert cluster.call("end", meetingID="course-1", password="wrong").key == "invalidPassword"
    assert cluster.states("course-1") == [("bbb3", "running")]
    assert created["moderatorPW"] == "moderator"
