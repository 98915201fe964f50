"""What is added to a front end's create on its way to the node."""

import pytest

from balancer.core.create_parameters import prepared
from balancer.core.parameters import Parameters

OURS = "https://bbb.example.org/ended?token=1"
ENCODED = b"meetingEndedURL=https%3A%2F%2Fbbb.example.org%2Fended%3Ftoken%3D1"


def sent(query: bytes, limit: int | None = None) -> bytes:
    return prepared(Parameters.parse(query), ended_url=OURS, limit=limit).encode()


def test_ours_follows_what_was_sent() -> None:
    assert sent(b"meetingID=a&x[y]=%c3%a9&flag") == b"meetingID=a&x[y]=%c3%a9&flag&" + ENCODED


@pytest.mark.parametrize("query", [b"meetingEndedURL=https%3a//moodle/x&meetingID=a", b"a&meetingEndedURL=%20x"])
def test_a_front_end_s_own_stays_untouched(query: bytes) -> None:
    assert sent(query) == query


@pytest.mark.parametrize("empty", [b"meetingEndedURL=&meetingID=a", b"meetingEndedURL&meetingID=a"])
def test_an_empty_one_is_none(empty: bytes) -> None:
    assert sent(empty) == ENCODED + b"&meetingID=a"


def test_without_room_nothing_is_added() -> None:
    whole = len(b"meetingID=a&" + ENCODED)
    assert sent(b"meetingID=a", whole) == b"meetingID=a&" + ENCODED
    assert sent(b"meetingID=a", whole - 1) == b"meetingID=a"
