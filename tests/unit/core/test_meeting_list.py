"""getMeetings: polls and rows, put together."""

from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from balancer.core.meeting_list import Part, TenantMeeting, external_ids, initial_listing, merge, unseen, young_meeting
from balancer.core.node_call import parse
from balancer.core.parameters import Parameters

BBB_ORDER = [
    "meetingName", "meetingID", "internalMeetingID", "createTime", "createDate", "voiceBridge", "dialNumber",
    "attendeePW", "moderatorPW", "running", "duration", "hasUserJoined", "recording", "hasBeenForciblyEnded",
    "startTime", "endTime", "participantCount", "listenerCount", "voiceParticipantCount", "videoCount", "maxUsers",
    "moderatorCount", "attendees", "metadata", "isBreakout",
]  # fmt: skip
POLLED = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def meeting(name: str, *, parent: str = "") -> str:
    breakout = f"<isBreakout>true</isBreakout><parentMeetingID>{parent}</parentMeetingID>" if parent else ""
    return f"<meeting><meetingID>{name}</meetingID>{breakout}</meeting>"


def row(name: str, *, node: int = 1, created: float = -60, recorded: bool = False) -> TenantMeeting:
    """created: seconds after the poll began."""
    return TenantMeeting(
        node_id=node,
        meeting_id=name,
        internal_meeting_id=f"i-{name}",
        created_at=(POLLED + timedelta(seconds=created)).timestamp(),
        create_time=1757000000123,
        recorded=recorded,
    )


def part(*names: str, **breakouts: str) -> Part:
    own = {f"i-{name}": meeting(name) for name in names}
    rooms = {f"i-{name}": meeting(name, parent=parent) for name, parent in breakouts.items()}
    return Part(POLLED, own | rooms)


@pytest.mark.parametrize(
    ("rows", "parts", "young", "listed"),
    [
        ([], {}, [], []),
        # As the node listed them, in the order of the rows.
        ([row("b"), row("a")], {1: part("a", "b")}, [], ["b", "a"]),
        # Without a row, or another tenant's.
        ([row("a")], {1: part("a", "foreign")}, [], ["a"]),
        # Made since the poll began, and made while it was under way.
        ([row("a", created=1)], {1: part()}, ["a"], ["a"]),
        ([row("a", created=0)], {1: part()}, ["a"], ["a"]),
        # What the node lists counts for more than how it began.
        ([row("a", created=1)], {1: part("a")}, ["a"], ["a"]),
        # There before the poll, and not listed: gone.
        ([row("a", created=-1)], {1: part()}, ["a"], []),
        # Its node was never polled.
        ([row("a")], {}, ["a"], ["a"]),
        ([row("a")], {2: part("b")}, ["a"], ["a"]),
        # Only its row is known, because Redis was wiped or its node has been away for long: it is still listed.
        ([row("a", created=1)], {1: part()}, [], ["a"]),
        ([row("a")], {}, [], ["a"]),
        ([row("a"), row("b", node=2)], {2: part("b")}, [], ["a", "b"]),
        # Twins: only the one that a row says is the one.
        ([row("a", node=2)], {1: part("a"), 2: part("a")}, [], ["a"]),
        # Breakout rooms come with their parent, from its own node.
        ([row("a")], {1: part("a", room="i-a", other="i-x")}, [], ["a", "room"]),
        ([], {1: part("a", room="i-a")}, [], []),
        # One that a front end created has a row of its own.
        ([row("a"), row("room")], {1: part("a", room="i-a")}, [], ["a", "room"]),
        ([row("a")], {1: part("a"), 2: part(room="i-a")}, [], ["a"]),
    ],
)
def test_merge(rows: list[TenantMeeting], parts: dict[int, Part], young: list[str], listed: list[str]) -> None:
    found = merge(rows, parts, {f"i-{name}": meeting(name) for name in young})
    assert [fromstring(xml).findtext("meetingID") for xml in found] == listed


def test_a_young_meeting_s_own_words_count_for_more_than_its_row() -> None:
    assert merge([row("a")], {}, {"i-a": meeting("a")}) == [meeting("a")]


def test_only_what_no_poll_listed_is_asked_for() -> None:
    assert unseen([row("a"), row("b"), row("c", node=2)], {1: part("a")}) == ["i-b", "i-c"]


def test_external_ids_are_read_as_they_were_given() -> None:
    assert external_ids(Part(POLLED, {"i": meeting("a &lt;b&gt; &amp;amp;")})) == {"i": "a <b> &amp;"}


def born(parameters: Parameters, created: str) -> Element:
    """How a meeting is listed whose node answered create so."""
    return fromstring(young_meeting(initial_listing(parameters, parse(created.encode()))))


def test_a_young_meeting_looks_as_its_node_would_list_it() -> None:
    created = (
        "<response><returncode>SUCCESS</returncode><meetingID>course-1</meetingID><internalMeetingID>i-1</internalMeetingID>"
        "<createTime>1757000000123</createTime><createDate>Thu Sep 04</createDate><voiceBridge>71234</voiceBridge>"
        "<dialNumber>613</dialNumber><attendeePW>a&amp;b</attendeePW><moderatorPW>m</moderatorPW>"
        "<duration>90</duration></response>"
    )
    parameters = Parameters.of(
        [
            ("name", "Algebra <1> \x02\U0001f600"),
            ("record", "true"),
            ("maxParticipants", "25"),
            ("meta_Origin", "a&b"),
            ("meta_origin", "a&b"),
            ("meta_x_y", "dropped"),
            ("meta_<b>", "dropped"),
            ("meta_", "dropped"),
        ]
    )
    found = born(parameters, created)
    assert [element.tag for element in found] == BBB_ORDER
    assert found.findtext("meetingName") == "Algebra <1> \U0001f600"
    assert (found.findtext("attendeePW"), found.findtext("duration")) == ("a&b", "90")
    assert (found.findtext("recording"), found.findtext("maxUsers")) == ("true", "25")
    assert [(each.tag, each.text) for each in found.iterfind("metadata/*")] == [
        ("origin", "a&b"),
        ("isBreakout", "false"),
        ("meetingId", "course-1"),
        ("meetingName", "Algebra <1> \U0001f600"),
    ]


def test_a_long_birth_is_read_as_every_other() -> None:
    created = "<response><returncode>SUCCESS</returncode><createTime>1</createTime></response>"
    found = born(Parameters.of([("meta_notes", "x" * 20_000)]), created)
    assert found.findtext("metadata/notes") == "x" * 20_000


def test_a_young_meeting_that_is_not_recorded_has_the_metadata_that_it_was_given() -> None:
    created = "<response><returncode>SUCCESS</returncode><meetingID>a</meetingID><createTime>1</createTime></response>"
    parameters = Parameters.of([("name", "Algebra"), ("record", "false"), ("meta_origin", "moodle")])
    found = born(parameters, created)
    assert [(each.tag, each.text) for each in found.iterfind("metadata/*")] == [("origin", "moodle")]


def test_a_meeting_of_which_its_row_alone_is_left_says_what_that_knows() -> None:
    (xml,) = merge([row("a&b", recorded=True)], {}, {})
    found = fromstring(xml)
    assert [element.tag for element in found] == BBB_ORDER
    told = {element.tag: element.text for element in found if element.text}
    assert told == {
        "meetingName": "a&b",
        "meetingID": "a&b",
        "internalMeetingID": "i-a&b",
        "createTime": "1757000000123",
        "createDate": "Thu Sep 04 15:33:20 UTC 2025",
        "startTime": "1757000000123",
        "running": "false",
        "hasUserJoined": "false",
        "recording": "true",
        "hasBeenForciblyEnded": "false",
        "isBreakout": "false",
    } | dict.fromkeys(
        ["duration", "endTime", "participantCount", "listenerCount", "voiceParticipantCount", "videoCount", "maxUsers",
         "moderatorCount"], "0"
    )  # fmt: skip


def test_a_young_breakout_room_names_its_parent() -> None:
    created = (
        "<response><returncode>SUCCESS</returncode><meetingID>a</meetingID><createTime>1</createTime>"
        "<parentMeetingID>i-1</parentMeetingID></response>"
    )
    sent = [("name", "Room"), ("record", "true"), ("isBreakout", "true"), ("sequence", "2"), ("freeJoin", "false")]
    found = born(Parameters.of(sent), created)
    assert found.findtext("metadata/isBreakout") == "true"
    told = [(each.tag, each.text) for each in found[-4:]]
    assert told == [("isBreakout", "true"), ("parentMeetingID", "i-1"), ("sequence", "2"), ("freeJoin", "false")]
