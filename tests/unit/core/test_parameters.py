"""Parameters: read as a node reads them, sent on as they were sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.core.parameters import Parameters
from balancer.errors import ValidationError


def read(query: bytes, name: str) -> str | None:
    return Parameters.parse(query).get(name)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"a=1", "1"),
        (b"b=2&a=1", "1"),
        (b"a=1&a=2", "1"),
        (b"a=x+y", "x y"),
        (b"a=x%2By", "x+y"),
        (b"a=%c3%A9", "é"),
        ("a=é".encode(), "é"),
        (b"a=%F0%9F%98%80", "\U0001f600"),
        (b"a=b=c", "b=c"),
        (b"a=", ""),
        (b"a", ""),
        (b"%61=1", "1"),
        (b"a%0A=1", "1"),
        (b"+a+=1", "1"),
        (b"a=%0A+1%09", "1"),
        (b"a=%C2%851", "1"),
        (b"a=%C2%A01%E3%80%80", "\N{NO-BREAK SPACE}1\N{IDEOGRAPHIC SPACE}"),
        (b"a=%FF", "\N{REPLACEMENT CHARACTER}"),
        (b"A=1", None),
        (b"a[]=1", None),
        (b"", None),
    ],
)
def test_a_value_is_what_a_node_would_take(query: bytes, value: str | None) -> None:
    assert read(query, "a") == value


@pytest.mark.parametrize("query", [b"a=%", b"a=%4", b"a=%zz", b"%a%=1", b"a=%u0041", b"a=%00", b"a=\0"])
def test_a_broken_encoding_is_reported_once_it_is_checked(query: bytes) -> None:
    parameters = Parameters.parse(b"x=1&" + query)
    with pytest.raises(ValidationError, match="is not properly encoded"):
        parameters.check_encoding()
    with pytest.raises(ValidationError):
        (Parameters.parse(b"y=1") + parameters.without("x")).check_encoding()


@pytest.mark.parametrize("query", [b"a=%25", b"a=100%25", b"a=%FF", b"a=%E4", b"", b"&&", b"=", b"a=%e2%98%83"])
def test_what_can_be_passed_on_is_not_refused(query: bytes) -> None:
    Parameters.parse(query).check_encoding()


SENDABLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='&"#<>\\^`{|}')


@given(st.text(alphabet=SENDABLE).map(str.encode))
def test_what_a_url_can_carry_is_sent_on_byte_for_byte(part: bytes) -> None:
    query = b"a=1&" + part + b"&b=2" if part else b"a=1&b=2"
    assert Parameters.parse(query).encode() == query


@given(st.binary())
def test_nothing_that_arrives_breaks_anything(query: bytes) -> None:
    encoded = Parameters.parse(query).encode()
    assert all(0x21 <= byte <= 0x7E for byte in encoded)
    again = Parameters.parse(encoded)
    assert [(item.name, item.value) for item in again] == [(item.name, item.value) for item in Parameters.parse(query)]


@pytest.mark.parametrize(
    ("sent", "encoded"),
    [
        ("a=ä b", b"a=%C3%A4%20b"),
        ("a=b#c", b"a=b%23c"),
        ("a=\r\nX: y", b"a=%0D%0AX:%20y"),
        ("a=[1]'", b"a=[1]'"),
        ('a={"b":1}|', b"a=%7B%22b%22:1%7D%7C"),
    ],
)
def test_what_no_url_can_carry_is_encoded(sent: str, encoded: bytes) -> None:
    assert Parameters.parse(sent.encode()).encode() == encoded


@pytest.mark.parametrize(
    ("query", "changed"),
    [
        (b"a=%41&b=2", b"a=new%20%26&b=2"),
        (b"b=%c3&a=1&c&a=2", b"b=%c3&a=new%20%26&c"),
        (b"b=2", b"b=2&a=new%20%26"),
        (b"", b"a=new%20%26"),
        (b"+a=1", b"a=new%20%26"),
    ],
)
def test_replacing_one_touches_no_other(query: bytes, changed: bytes) -> None:
    assert Parameters.parse(query).replaced("a", "new &").encode() == changed


def test_removing_some_touches_no_other() -> None:
    parameters = Parameters.parse(b"a=1&b=%C3&a=2&c[]=&check%73um=x")
    assert parameters.without("a", "checksum").encode() == b"b=%C3&c[]="


def test_made_ones_are_encoded_for_any_node() -> None:
    assert Parameters.of([("meta_x y", "a+b/ä")]).encode() == b"meta_x%20y=a%2Bb%2F%C3%A4"


@pytest.mark.parametrize(("query", "value"), [(b"a=1&a=1", "1"), (b"a=1&a=+1", "1"), (b"b=1", None), (b"a=", "")])
def test_a_name_that_says_one_thing_is_single(query: bytes, value: str | None) -> None:
    assert Parameters.parse(query).single("a") == value


@pytest.mark.parametrize("query", [b"a=1&a=2", b"a=1&%61=2", b"a=1&+a=2", b"a=1&a", b"a=1&a%0d=2"])
def test_a_name_that_says_two_things_is_refused(query: bytes) -> None:
    with pytest.raises(ValidationError, match="more than once"):
        Parameters.parse(query).single("a")


@pytest.mark.parametrize(
    ("query", "flag"), [(b"a=true", True), (b"a=TRUE", True), (b"a=1", False), (b"a=yes", False), (b"a=false", False)]
)
def test_flags_are_read_as_java_does(query: bytes, flag: bool) -> None:
    assert Parameters.parse(query).flag("a") is flag
    assert Parameters.parse(b"a=").flag("a", default=True) is True


def test_names_behind_a_prefix_keep_their_order_and_first_value() -> None:
    found = Parameters.parse(b"meta_b=2&meta_a=1&meta_b=3&metax=4&meta_=5").prefixed("meta_")
    assert list(found.items()) == [("b", "2"), ("a", "1"), ("", "5")]


def test_cleaning_is_noticed() -> None:
    assert Parameters.parse(b"a=x%20y").untouched("a")
    assert not Parameters.parse(b"a=x&a=x%20").untouched("a")
    assert not Parameters.parse(b"a=x%07y").untouched("a")
