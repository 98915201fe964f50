"""metadata.xml: strict about identity, kind about everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.core.metadata_xml import MAX_BYTES, Metadata, MetadataError, parse
from balancer.core.recordings import Preview
from tests.archives import OTHER_ID, RECORD_ID, presentation_xml, video_xml

MINIMAL = "<recording>{}<playback>{}</playback></recording>"


def minimal(head: str = "", playback: str = "", playback_format: str = "presentation") -> Metadata:
    return parse(MINIMAL.format(head, playback).encode(), RECORD_ID, playback_format)


def test_a_presentation() -> None:
    assert parse(presentation_xml(), RECORD_ID, "presentation") == Metadata(
        record_id=RECORD_ID,
        format="presentation",
        state="published",
        host="node1.example.org",
        meeting_id="course-77",
        name="Algebra",
        is_breakout=False,
        parent_meeting_id=None,
        breakout=None,
        breakout_rooms=(),
        start_ms=1757000000140,
        end_ms=1757003600900,
        participants=7,
        raw_size=91237554,
        meta={"isBreakout": "false", "meetingId": "course-77", "meetingName": "Algebra", "bbb-origin": "moodle"},
        url=f"/playback/presentation/2.3/{RECORD_ID}",
        length_ms=3600760,
        size_bytes=4100000,
        processing_ms=31442,
        previews=(
            Preview(f"/presentation/{RECORD_ID}/presentation/d2d9-1/thumbnails/thumb-1.png", "176", "136", "Slide one"),
        ),
    )


def test_a_video_has_neither_meeting_nor_participants_nor_sizes() -> None:
    found = parse(video_xml(), RECORD_ID, "video")
    assert (found.state, found.meeting_id, found.name) == ("published", "course-77", "Algebra")
    assert (found.participants, found.raw_size, found.size_bytes, found.is_breakout) == (None, None, None, None)


def test_everything_but_playback_may_be_missing() -> None:
    found = minimal()
    assert (found.state, found.meeting_id, found.name, found.start_ms, found.meta) == (
        "published",
        None,
        None,
        None,
        {},
    )
    assert found.url == f"/playback/presentation/2.3/{RECORD_ID}"


@pytest.mark.parametrize(
    ("head", "state"),
    [
        ("", "published"),
        ("<state>available</state>", "published"),
        ("<state>published</state><published>true</published>", "published"),
        ("<state>published</state><published>false</published>", "unpublished"),
        ("<state>unpublished</state>", "unpublished"),
        # In doubt nothing is shown to anybody.
        ("<state>deleted</state>", "unpublished"),
        ("<state>processed</state><published>true</published>", "unpublished"),
    ],
)
def test_states(head: str, state: str) -> None:
    assert minimal(head).state == state


@pytest.mark.parametrize(
    ("playback_format", "link", "url"),
    [
        ("podcast", f"https://node1.example.org/podcast/{RECORD_ID}/audio.ogg", f"/podcast/{RECORD_ID}/audio.ogg"),
        (
            "presentation",
            f"http://node:8443/playback/presentation/2.0/playback.html?meetingId={RECORD_ID}",
            f"/playback/presentation/2.0/playback.html?meetingId={RECORD_ID}",
        ),
        ("video", f"/playback/video/{RECORD_ID}/", f"/playback/video/{RECORD_ID}/"),
        # Not this recording, not a path, or another origin in disguise: the format's usual address.
        ("video", f"https://node1.example.org/playback/video/{OTHER_ID}/", f"/playback/video/{RECORD_ID}/"),
        ("video", f"javascript:alert('{RECORD_ID}')", f"/playback/video/{RECORD_ID}/"),
        ("video", f"https://node1.example.org//evil.example.org/{RECORD_ID}", f"/playback/video/{RECORD_ID}/"),
        ("video", f"https://n/\\evil.example.org/{RECORD_ID}", f"/playback/video/{RECORD_ID}/"),
        ("video", f"https://[broken/{RECORD_ID}", f"/playback/video/{RECORD_ID}/"),
        ("notes", "", f"/notes/{RECORD_ID}/notes.pdf"),
        ("screenshare", "", f"/recording/screenshare/{RECORD_ID}/"),
        ("something-else", "", f"/something-else/{RECORD_ID}/"),
    ],
)
def test_links_lose_their_host_and_lead_to_this_recording(playback_format: str, link: str, url: str) -> None:
    assert minimal(playback=f"<link>{link}</link>", playback_format=playback_format).url == url


def test_previews_keep_paths_alone_and_odd_ones_are_dropped() -> None:
    images = "".join(
        f"<image width='1' height='2' alt='&lt;'>{url}</image>"
        for url in ("https://n/a.png", "javascript:alert(1)", "", "https://n//evil/a.png", "data:image/png;base64,AAAA")
    )
    found = minimal(playback=f"<extensions><preview><images>{images}</images></preview></extensions>")
    assert found.previews == (Preview("/a.png", "1", "2", "<"),)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "seven", "9" * 30, "0x7", "\u0661"])
def test_numbers_that_are_none_count_as_not_said(text: str) -> None:
    found = minimal(f"<start_time>{text}</start_time><participants>{text}</participants>", f"<size>{text}</size>")
    assert (found.start_ms, found.participants, found.size_bytes) == (None, None, None)


def test_a_number_too_large_for_its_column_counts_as_not_said() -> None:
    assert minimal(f"<participants>{2**31}</participants>").participants is None


def test_a_breakout_room_and_its_parent() -> None:
    child = minimal(f'<breakout parentMeetingId="{OTHER_ID}" sequence="3" freeJoin="true" meetingId="x"/>')
    assert child.parent_meeting_id == OTHER_ID
    assert child.breakout == {"parentId": OTHER_ID, "sequence": "3", "freeJoin": "true"}
    parent = minimal("<breakoutRooms><breakoutRoom>a-1</breakoutRoom><breakoutRoom>b-2</breakoutRoom></breakoutRooms>")
    assert parent.breakout_rooms == ("a-1", "b-2")


@pytest.mark.parametrize(
    "content",
    [
        presentation_xml(name="a XX b").replace(b"XX", b"\xc3\x28"),
        presentation_xml(name="a XX b").replace(b"XX", b"\x0b\x01"),
        presentation_xml(name="a XX b").replace(b"XX", b"\xed\xa0\x80"),
        b"\xef\xbb\xbf" + presentation_xml(name="a  b"),
    ],
)
def test_broken_text_is_repaired(content: bytes) -> None:
    name = parse(content, RECORD_ID, "presentation").name
    assert name is not None
    assert name.startswith("a ")
    assert name.endswith(" b")


def test_the_declared_encoding_is_used_if_it_exists() -> None:
    latin = presentation_xml(name="über").decode().replace("UTF-8", "ISO-8859-1").encode("latin-1")
    assert parse(latin, RECORD_ID, "presentation").name == "über"
    odd = presentation_xml(name="über").replace(b'"UTF-8"', b'"x-no-such"')
    assert parse(odd, RECORD_ID, "presentation").name == "über"


def test_markup_in_names_is_text() -> None:
    assert parse(presentation_xml(name="<b>&\"'"), RECORD_ID, "presentation").name == "<b>&\"'"


def test_metadata_names_have_one_spelling_and_foreign_namespaces_are_dropped() -> None:
    found = minimal('<meta><Subject>x</Subject><n:y xmlns:n="urn:n">z</n:y></meta>')
    assert found.meta == {"subject": "x"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not XML"),
        (b"<recording>", "is not XML"),
        (b"\x00\x01", "is not XML"),
        (b"<html/>", "does not begin with <recording>"),
        (b"<recording/>", "has no <playback>"),
        (b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><recording/>', "document type"),
        (b'<!DOCTYPE r [<!ENTITY x "y">]><recording>&x;</recording>', "document type"),
        (presentation_xml(OTHER_ID), "but is in the directory of"),
        (presentation_xml(playback_format="../../etc"), "but is in the directory of"),
        (presentation_xml("..", link=""), "but is in the directory of"),
        (b"<recording>" + b" " * MAX_BYTES, "larger than"),
    ],
)
def test_refused(content: bytes, words: str) -> None:
    with pytest.raises(MetadataError, match=words):
        parse(content, RECORD_ID, "presentation")


@given(st.binary())
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(MetadataError):
        parse(content, RECORD_ID, "presentation")


@given(st.text(st.characters(exclude_characters="<&>"), max_size=50))
def test_no_text_breaks_the_parser(text: str) -> None:
    content = MINIMAL.format(
        f"<start_time>{text}</start_time><meta><x>{text}</x></meta>", f"<link>{text}</link><duration>{text}</duration>"
    )
    parse(content.encode("utf-8", "surrogatepass"), RECORD_ID, "presentation")
