"""Which meetingIDs are accepted, and which answers identify a meeting."""

import pytest
from defusedxml.ElementTree import fromstring

from balancer.core.meetings import Identity, identity, meeting_id, new_meeting_id
from balancer.core.node_call import Answer
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, ValidationError


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (b"meetingID=course-1", "course-1"),
        (b"meetingID=abc-2-5%5B0%5D", "abc-2-5[0]"),
        (b"meetingID=%2525", "%25"),
        (b"meetingID=%F0%9F%98%80%F0%9F%98%80", "\U0001f600\U0001f600"),
        (b"meetingID=a%20b", "a b"),
        (b"meetingID=" + b"x" * 256, "x" * 256),
    ],
)
def test_what_bbb_takes_is_taken(query: bytes, named: str) -> None:
    assert new_meeting_id(Parameters.parse(query)) == named
    assert meeting_id(Parameters.parse(query)) == named


@pytest.mark.parametrize(
    ("query", "key"),
    [
        (b"", "missingParamMeetingID"),
        (b"meetingID=", "missingParamMeetingID"),
        (b"meetingID=%20", "missingParamMeetingID"),
        (b"meetingid=course-1", "missingParamMeetingID"),
        (b"meetingID=x", "sizeError"),
        (b"meetingID=" + b"x" * 257, "sizeError"),
        (b"meetingID=a,b", "validationError"),
        (b"meetingID=ab%20", "validationError"),
        (b"meetingID=a%07b", "validationError"),
        (b"meetingID=ab%FF", "validationError"),
        (b"meetingID=ab&meetingID=cd", "validationError"),
    ],
)
def test_what_bbb_refuses_is_refused(query: bytes, key: str) -> None:
    with pytest.raises(ValidationError) as raised:
        new_meeting_id(Parameters.parse(query))
    assert raised.value.message_key == key


def test_other_calls_clean_the_id_as_a_node_does() -> None:
    assert meeting_id(Parameters.parse(b"meetingID=+course-1%0A")) == "course-1"


def answer(inner: str) -> Answer:
    return Answer(True, "", "", fromstring(f"<response>{inner}</response>"), b"")


def test_identity() -> None:
    found = identity(answer("<internalMeetingID> a-1 </internalMeetingID><createTime>1757000000123</createTime>"))
    assert found == Identity("a-1", 1757000000123)


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<internalMeetingID>a-1</internalMeetingID>",
        "<createTime>1</createTime>",
        "<internalMeetingID>a-1</internalMeetingID><createTime/>",
        "<internalMeetingID>a-1</internalMeetingID><createTime>0</createTime>",
        "<internalMeetingID>a-1</internalMeetingID><createTime>-1</createTime>",
        "<internalMeetingID>a-1</internalMeetingID><createTime>soon</createTime>",
        "<internalMeetingID>a-1</internalMeetingID><createTime>٣</createTime>",
        f"<internalMeetingID>a-1</internalMeetingID><createTime>{'9' * 30}</createTime>",
        f"<internalMeetingID>a-1</internalMeetingID><createTime>{10**14}</createTime>",
    ],
)
def test_an_answer_without_identity_is_none(inner: str) -> None:
    with pytest.raises(NodeError):
        identity(answer(inner))
