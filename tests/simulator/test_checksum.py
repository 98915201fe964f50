"""Signatures, compared with the protocol reference's vectors (2.6)."""

import hashlib

import pytest

from lab.simulator.checksum import digest, matches, without_checksum
from tests.checksum_vectors import SECRET, VECTORS
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd, sign


@pytest.mark.parametrize(("call", "query", "sha1", "sha256"), VECTORS)
def test_digests_are_the_references(call: str, query: str, sha1: str, sha256: str) -> None:
    assert digest(call, query.encode(), SECRET, "sha1") == sha1
    assert digest(call, query.encode(), SECRET, "sha256") == sha256


@pytest.mark.parametrize(("call", "query", "sha1", "sha256"), VECTORS)
async def test_a_node_accepts_each_vector_as_sent(
    front: FrontEnd, call: str, query: str, sha1: str, sha256: str
) -> None:
    await front.create("abc-2-5[0]")
    for checksum in (sha1, sha256):
        answer = await front.fetch(f"/bigbluebutton/api/{call}?{query}&checksum={checksum}")
        assert answer.ok, answer.text


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
async def test_all_four_digests_are_accepted(front: FrontEnd, algorithm: str) -> None:
    assert (await front.raw("getMeetings", algorithm=algorithm)).ok


@pytest.mark.parametrize("algorithm", ["sha1", "sha384", "sha512"])
async def test_a_digest_that_is_not_allowed_is_refused(start_node: StartNode, algorithm: str) -> None:
    front = await start_node(algorithms=("sha256",))
    assert (await front.raw("getMeetings", algorithm="sha256")).ok
    answer = await front.raw("getMeetings", algorithm=algorithm)
    assert (answer.status, answer.key, answer.get("message")) == (200, "checksumError", "Checksums do not match")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("a=1&checksum=X", "a=1"),
        ("checksum=X&a=1", "a=1"),
        ("a=1&checksum=X&b=2", "a=1&b=2"),
        ("&checksum=X", ""),
        ("checksum=X", ""),
        ("a=1&checksum=Y", "a=1&checksum=Y"),
    ],
)
def test_the_checksum_is_removed_wherever_it_is(query: str, left: str) -> None:
    assert without_checksum(query.encode(), "X") == left.encode()


async def test_the_checksum_may_be_first_or_in_the_middle(front: FrontEnd) -> None:
    query = "name=Algebra&meetingID=course-77"
    checksum = sign("create", query)
    first = await front.fetch(f"/bigbluebutton/api/create?checksum={checksum}&{query}")
    middle = await front.fetch(f"/bigbluebutton/api/create?name=Algebra&checksum={checksum}&meetingID=course-77")
    empty = await front.fetch(f"/bigbluebutton/api/getMeetings?&checksum={sign('getMeetings', '')}")
    assert first.ok
    assert middle.key == "duplicateWarning"
    assert empty.ok


@pytest.mark.parametrize(("profile", "accepted"), [("3.0", True), ("2.7", False)])
async def test_upper_case_digests_are_for_3_0(start_node: StartNode, profile: str, accepted: bool) -> None:
    front = await start_node(profile=profile)
    answer = await front.fetch(f"/bigbluebutton/api/getMeetings?checksum={sign('getMeetings', '').upper()}")
    assert answer.ok is accepted


@pytest.mark.parametrize(("profile", "accepted"), [("3.0", False), ("2.7", True)])
async def test_the_same_checksum_twice_is_refused_from_3_0_37(
    start_node: StartNode, profile: str, accepted: bool
) -> None:
    front = await start_node(profile=profile)
    checksum = sign("getMeetings", "")
    answer = await front.fetch(f"/bigbluebutton/api/getMeetings?checksum={checksum}&checksum={checksum}")
    assert answer.ok is accepted


async def test_a_form_carries_parameters_and_checksum_while_the_hash_covers_the_empty_query(front: FrontEnd) -> None:
    form = {"name": "Algebra", "meetingID": "course-77", "checksum": sign("create", "")}
    assert (await front.fetch("/bigbluebutton/api/create", "POST", data=form)).ok
    assert (await front.call("getMeetingInfo", meetingID="course-77")).get("meetingName") == "Algebra"


@pytest.mark.parametrize("path", ["getMeetings", "getMeetings?checksum=" + "0" * 64, "getMeetings?checksum=short"])
async def test_a_missing_or_wrong_checksum_is_refused_with_200(front: FrontEnd, path: str) -> None:
    answer = await front.fetch(f"/bigbluebutton/api/{path}")
    assert (answer.status, answer.key) == (200, "checksumError")


async def test_recording_calls_word_it_differently(front: FrontEnd) -> None:
    answer = await front.fetch("/bigbluebutton/api/getRecordings?checksum=0")
    assert answer.get("message") == "You did not pass the checksum security check"
    # These calls report missing parameters before a wrong checksum.
    answer = await front.fetch("/bigbluebutton/api/deleteRecordings?checksum=0")
    assert answer.key == "missingParamRecordID"


def test_control_characters_and_blanks_around_the_query_do_not_count() -> None:
    checksum = hashlib.sha256(b"getMeetingsa=1" + SECRET.encode()).hexdigest()
    query = f" a=1&checksum={checksum}\x01 ".encode()
    assert matches("getMeetings", query, checksum, SECRET, algorithms=("sha256",), any_case=True)
