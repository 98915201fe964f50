"""What a node is sent for a front end's create and join."""

import pytest

from balancer.core.node_parameters import for_create, for_join
from balancer.core.parameters import Parameters
from balancer.errors import ValidationError

OURS = "https://bbb.example.org/ended?token=1"
ENCODED = b"meetingEndedURL=https%3A%2F%2Fbbb.example.org%2Fended%3Ftoken%3D1"


def created(query: bytes, limit: int | None = None) -> bytes:
    return for_create(Parameters.parse(query), ended_url=OURS, limit=limit).encode()


def test_ours_follows_what_was_sent() -> None:
    assert created(b"meetingID=a&x[y]=%c3%a9&flag") == b"meetingID=a&x[y]=%c3%a9&flag&" + ENCODED


@pytest.mark.parametrize("query", [b"meetingEndedURL=https%3a//moodle/x&meetingID=a", b"a&meetingEndedURL=%20x"])
def test_a_front_end_s_own_stays_untouched(query: bytes) -> None:
    assert created(query) == query


@pytest.mark.parametrize("empty", [b"meetingEndedURL=&meetingID=a", b"meetingEndedURL&meetingID=a"])
def test_an_empty_one_is_none(empty: bytes) -> None:
    assert created(empty) == ENCODED + b"&meetingID=a"


def test_without_room_nothing_is_added() -> None:
    whole = len(b"meetingID=a&" + ENCODED)
    assert created(b"meetingID=a", whole) == b"meetingID=a&" + ENCODED
    assert created(b"meetingID=a", whole - 1) == b"meetingID=a"


def test_what_has_no_room_itself_is_refused() -> None:
    assert created(b"meetingID=a", 11) == b"meetingID=a"
    with pytest.raises(ValidationError, match="11 of at most 10 bytes"):
        created(b"meetingID=a", 10)


@pytest.mark.parametrize("query", [b"meetingID=a&fullName=%c3%a9+x&userdata-[a]=1&flag", b"fullName=&firstName=a"])
def test_a_join_is_sent_as_it_came(query: bytes) -> None:
    assert for_join(Parameters.parse(query)).encode() == query


@pytest.mark.parametrize("query", [b"meetingID=a", b"fullName=%20&firstName"])
def test_a_join_without_a_name_is_refused(query: bytes) -> None:
    with pytest.raises(ValidationError) as refused:
        for_join(Parameters.parse(query))
    assert refused.value.message_key == "missingParamFullName"
