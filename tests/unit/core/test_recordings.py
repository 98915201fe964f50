"""What getRecordings and updateRecordings mean by their parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.core import recordings
from balancer.core.recordings import MetaFilter, PlaybackFormat, Query, Recording

ID = "0123456789abcdef0123456789abcdef01234567-1757000000123"


@pytest.mark.parametrize("text", [ID, "a-1", "0-0"])
def test_record_ids(text: str) -> None:
    assert recordings.is_record_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        ".",
        ID.upper(),
        f"{ID}\n",
        f"../{ID}",
        f"{ID}/",
        "g-1",
        "a-",
        "-1",
        "a-1-2",
        "a" * 65 + "-1",
        "a-\u0661",
    ],
)
def test_what_is_no_record_id(text: str) -> None:
    assert not recordings.is_record_id(text)


@pytest.mark.parametrize("text", ["presentation", "video", "podcast", "notes", "screenshare", "slides", "my-format_2"])
def test_formats(text: str) -> None:
    assert recordings.is_format(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a/b", "Video", "1video", "video\n", "playback", "internal", "recording", "a" * 33, ".trash"],
)
def test_what_is_no_format(text: str) -> None:
    assert not recordings.is_format(text)


def test_nothing_asked_is_everything_that_is_not_deleted() -> None:
    assert recordings.query({}) == Query(None, None, ("published", "unpublished"), (), 0, None)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"meetingID": "a,b"}, Query(meeting_ids=("a", "b"))),
        ({"meetingID": " a , ,b,"}, Query(meeting_ids=("a", "b"))),
        ({"meetingID": ","}, Query()),
        # Encoded twice; an id may also hold a percent sign of its own.
        ({"meetingID": "a%20b%2Cc"}, Query(meeting_ids=("a%20b%2Cc", "a b", "c"))),
        ({"meetingID": "a+b,a+b"}, Query(meeting_ids=("a+b",))),
        ({"recordID": f"{ID}%2Cab"}, Query(record_ids=(ID, "ab"))),
        ({"recordID": f"{ID},ab"}, Query(record_ids=(ID, "ab"))),
        # An impossible id matches nothing: it must not become "no filter".
        ({"recordID": "../.."}, Query(record_ids=())),
        ({"recordID": "", "meetingID": "a"}, Query(meeting_ids=("a",))),
        ({"recordID": "ab", "meetingID": "a"}, Query(record_ids=("ab",))),
        ({"state": "published"}, Query(states=("published",))),
        ({"state": "deleted,published"}, Query(states=("published", "deleted"))),
        ({"state": "published,any"}, Query(states=("published", "unpublished", "deleted"))),
        ({"state": "processing,processed"}, Query(states=())),
        ({"state": ","}, Query()),
        ({"limit": "7"}, Query(limit=7)),
        ({"limit": "7", "offset": "3"}, Query(limit=7, offset=3)),
        ({"limit": "0"}, Query(limit=1)),
        ({"limit": "-7", "offset": "-3"}, Query(limit=1, offset=0)),
        ({"limit": "101"}, Query(limit=100)),
        ({"limit": "ten", "offset": "3"}, Query()),
        ({"offset": "3"}, Query()),
        ({"limit": "5", "offset": "1" * 18}, Query(limit=5, offset=2**31)),
        ({"meta_A-b": " x "}, Query(meta=(MetaFilter("a-b", "x"),))),
        ({"meta_meetingid": "x"}, Query(meta=(MetaFilter("meetingId", "x"),))),
        ({"meta_": "x", "meta_a_b": "x", "meta_1": "x", "metaa": "x"}, Query()),
    ],
)
def test_query(parameters: dict[str, str], expected: Query) -> None:
    assert recordings.query(parameters) == expected


@given(st.dictionaries(st.sampled_from(["recordID", "meetingID", "state", "limit", "offset", "meta_x"]), st.text()))
def test_no_parameter_breaks_a_query(parameters: dict[str, str]) -> None:
    query = recordings.query(parameters)
    assert query.limit is None or 1 <= query.limit <= 100
    assert set(query.states) <= set(recordings.STATES)
    assert all(set(prefix) <= set("0123456789abcdef-") for prefix in query.record_ids or ())


@pytest.mark.parametrize(
    ("value", "exact", "like"),
    [
        ("x", True, "x"),
        ("x%y", True, r"x\%y"),
        ("%x", False, "%x"),
        ("x%", False, "x%"),
        ("%x%", False, "%x%"),
        ("%", False, "%"),
        ("%%", False, "%%"),
        ("%_\\%", False, r"%\_\\%"),
        ("", True, ""),
    ],
)
def test_wildcards(value: str, exact: bool, like: str) -> None:
    found = MetaFilter("name", value)
    assert (found.is_exact, found.like) == (exact, like)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("Subject", "subject"), ("MEETINGNAME", "meetingName"), ("meetingId", "meetingId"), ("isbreakout", "isBreakout")],
)
def test_names_have_one_spelling(name: str, canonical: str) -> None:
    assert recordings.canonical_name(name) == canonical


def test_edits_are_added_to_those_before_and_an_empty_value_removes() -> None:
    before = {"a": "1", "b": None}
    assert recordings.edited(before, {"meta_A": "", "meta_B": "2", "meta_c": "\x01 3 ", "recordID": "x"}) == {
        "a": None,
        "b": "2",
        "c": "3",
    }
    assert before == {"a": "1", "b": None}


@given(st.text())
def test_clean_text_can_be_sent_as_xml(text: str) -> None:
    from xml.sax.saxutils import escape

    from defusedxml.ElementTree import fromstring

    fromstring(f"<a>{escape(recordings.clean(text))}</a>".encode())


def recording(**changes: int) -> Recording:
    times = {"start_ms": 0, "end_ms": 600_000} | changes
    return Recording(ID, "m", "n", "published", False, False, participants=None, raw_size=None, metadata={}, **times)


@pytest.mark.parametrize(("length_ms", "minutes"), [(0, 10), (59_999, 0), (60_000, 1), (119_999, 1), (3_600_000, 60)])
def test_lengths_are_whole_minutes_and_the_recordings_own_where_unknown(length_ms: int, minutes: int) -> None:
    assert recording().minutes(PlaybackFormat("video", "/", length_ms, 0)) == minutes


def test_a_recording_that_ends_before_it_begins_has_no_length() -> None:
    assert recording(start_ms=10**13).minutes(PlaybackFormat("video", "/", 0, 0)) == 0
