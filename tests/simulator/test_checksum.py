"""Signatures, against the protocol reference's own vectors (2.6)."""

import hashlib

import pytest

from lab.simulator.checksum import digest, matches, without_checksum
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import SECRET, FrontEnd, sign

# call, raw query without checksum, sha1, sha256; the secret is s3cretForTests.
VECTORS = [
    (
        "getMeetings",
        "",
        "2eb0714b77bb3e5dd9cd6ae122ea1662c03b696d",
        "7811b4ca429ef35346492d6097ab0a44d5b3fccdfcd60136a166ba6b55f32186",
    ),
    (
        "create",
        "name=Alg%C3%A8bra+1&meetingID=course-77&record=true",
        "5d6ca675a544e4bc2370acfbde45b600bf05e95b",
        "cdae8c7658843acc365aad9f584942212bcd7fdc763cd4e4d2f29eae163c53a6",
    ),
    (
        "create",
        "name=Alg%c3%a8bra%201&meetingID=course-77&record=true",
        "fcdaf21c0b2cbd7b0df66235093f7b5feeed4b8d",
        "4b6fc1d9f16838c7aec14c0b51b19d5a1c40223fe51accaa6130158f85136a52",
    ),
    (
        "join",
        "fullName=A%26B&meetingID=abc-2-5%5B0%5D&role=VIEWER&redirect=false",
        "9f6747643837815c3af0626595f65d3a6d5b22c4",
        "2b52162925eb8b9d30b53ef5e3abb15d1ec7da1cbb529d60b367f2ff41196a9e",
    ),
    (
        "hooks/create",
        "callbackURL=https%3A%2F%2Flms.example.org%2Fcb",
        "2e448bb14c12be2cf76175f0978265b82ea5fecb",
        "ee1dd14083f7cc65946cf5ff24cee430d965c9bad420fa98510bb6293e306742",
    ),
]


@pytest.mark.parametrize(("call", "query", "sha1", "sha256"), VECTORS)
def test_digests_are_the_references(call: str, query: str, sha1: str, sha256: str) -> None:
    assert digest(call, query.encode(), SECRET, "sha1") == sha1
    assert digest(call, query.encode(), SECRET, "sha256") == sha256


@pytest.mark.parametrize(("call", "query", "sha1", "sha256"), VECTORS)
async def test_a_node_takes_each_vector_as_sent(front: FrontEnd, call: str, query: str, sha1: str, sha256: str) -> None:
    await front.create("abc-2-5[0]")
    for checksum in (sha1, sha256):
        said = await front.fetch(f"/bigbluebutton/api/{call}?{query}&checksum={checksum}")
        assert said.ok, said.text


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
async def test_all_four_digests_are_taken(front: FrontEnd, algorithm: str) -> None:
    assert (await front.raw("getMeetings", algorithm=algorithm)).ok


@pytest.mark.parametrize("algorithm", ["sha1", "sha384", "sha512"])
async def test_a_digest_that_is_not_allowed_is_refused(start_node: StartNode, algorithm: str) -> None:
    front = await start_node(algorithms=("sha256",))
    assert (await front.raw("getMeetings", algorithm="sha256")).ok
    said = await front.raw("getMeetings", algorithm=algorithm)
    assert (said.status, said.key, said.get("message")) == (200, "checksumError", "Checksums do not match")


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
def test_the_checksum_is_cut_out_wherever_it_stands(query: str, left: str) -> None:
    assert without_checksum(query.encode(), "X") == left.encode()


async def test_the_checksum_may_stand_first_or_in_the_middle(front: FrontEnd) -> None:
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
    said = await front.fetch(f"/bigbluebutton/api/getMeetings?checksum={sign('getMeetings', '').upper()}")
    assert said.ok is accepted


@pytest.mark.parametrize(("profile", "accepted"), [("3.0", False), ("2.7", True)])
async def test_the_same_checksum_twice_is_refused_from_3_0_37(
    start_node: StartNode, profile: str, accepted: bool
) -> None:
    front = await start_node(profile=profile)
    checksum = sign("getMeetings", "")
    said = await front.fetch(f"/bigbluebutton/api/getMeetings?checksum={checksum}&checksum={checksum}")
    assert said.ok is accepted


async def test_a_form_carries_parameters_and_checksum_while_the_hash_covers_the_empty_query(front: FrontEnd) -> None:
    form = {"name": "Algebra", "meetingID": "course-77", "checksum": sign("create", "")}
    assert (await front.fetch("/bigbluebutton/api/create", "POST", data=form)).ok
    assert (await front.call("getMeetingInfo", meetingID="course-77")).get("meetingName") == "Algebra"


@pytest.mark.parametrize("path", ["getMeetings", "getMeetings?checksum=" + "0" * 64, "getMeetings?checksum=short"])
async def test_a_missing_or_wrong_checksum_is_refused_with_200(front: FrontEnd, path: str) -> None:
    said = await front.fetch(f"/bigbluebutton/api/{path}")
    assert (said.status, said.key) == (200, "checksumError")


async def test_recording_calls_word_it_differently(front: FrontEnd) -> None:
    said = await front.fetch("/bigbluebutton/api/getRecordings?checksum=0")
    assert said.get("message") == "You did not pass the checksum security check"
    # Missing parameters come before a wrong checksum there.
    said = await front.fetch("/bigbluebutton/api/deleteRecordings?checksum=0")
    assert said.key == "missingParamRecordID"


def test_control_characters_and_blanks_around_the_query_do_not_count() -> None:
    checksum = hashlib.sha256(b"getMeetingsa=1" + SECRET.encode()).hexdigest()
    query = f" a=1&checksum={checksum}\x01 ".encode()
    assert matches("getMeetings", query, checksum, SECRET, algorithms=("sha256",), any_case=True)
