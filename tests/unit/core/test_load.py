"""A node's load: users seen, and users that are still to come."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.load import Load, PolledLoad, Reservations, Room, YoungMeeting, load, polled_load, room
from balancer.core.nodes import Snapshot
from balancer.core.parameters import Parameters

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
YOUNG_FOR = timedelta(minutes=10)
NONE = Reservations()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def snapshot(participants: dict[str, int], ago: float = 5, video: int = 0) -> Snapshot:
    return Snapshot(
        node_id=1,
        fencing=1,
        poll_started=NOW - seconds(ago),
        polled=NOW - seconds(ago),
        users=sum(participants.values()),
        video=video,
        participants=participants,
    )


def young(internal: str, *, age: float, expected: float = 10) -> YoungMeeting:
    at = NOW.timestamp() - age
    return YoungMeeting(node_id=1, internal_meeting_id=internal, expected_users=expected, placed_at=at, created_at=at)


def polled(snapshot: Snapshot, *meetings: YoungMeeting) -> PolledLoad:
    return polled_load(snapshot, meetings, NOW, YOUNG_FOR)


def load_of(
    participants: dict[str, int], *meetings: YoungMeeting, reserved: Reservations = NONE, video: int = 0
) -> Load:
    return load(polled(snapshot(participants, video=video), *meetings), reserved, video_weight=0.5)


@pytest.mark.parametrize(
    ("participants", "meetings", "reserved", "expected"),
    [
        # Nothing is going on.
        ({}, [], NONE, Load(0, 0, 0, 0)),
        # Old meetings count what is in them.
        ({"a": 30, "b": 0}, [], NONE, Load(30, 0, 0, 2)),
        # A meeting placed since the poll is a reservation.
        ({}, [young("a", age=1)], Reservations(1, 10), Load(0, 0, 10, 1)),
        # One that the poll saw still fills ...
        ({"a": 0}, [young("a", age=60)], NONE, Load(0, 10, 0, 1)),
        # ... and users who have come are no longer expected.
        ({"a": 7}, [young("a", age=60)], NONE, Load(7, 3, 0, 1)),
        ({"a": 10}, [young("a", age=60)], NONE, Load(10, 0, 0, 1)),
        ({"a": 25}, [young("a", age=60)], NONE, Load(25, 0, 0, 1)),
        # In the second half of its youth the expectation fades.
        ({"a": 0}, [young("a", age=300)], NONE, Load(0, 10, 0, 1)),
        ({"a": 0}, [young("a", age=450)], NONE, Load(0, 5, 0, 1)),
        ({"a": 4}, [young("a", age=450)], NONE, Load(4, 1, 0, 1)),
        ({"a": 0}, [young("a", age=599)], NONE, Load(0, pytest.approx(10 / 300), 0, 1)),
        # A meeting that was there before the poll, and that the poll did not see, is gone.
        ({}, [young("a", age=60)], NONE, Load(0, 0, 0, 0)),
        # All together.
        ({"a": 30, "b": 2}, [young("b", age=60), young("c", age=1)], Reservations(1, 5), Load(32, 8, 5, 3)),
    ],
)
def test_load(
    participants: dict[str, int], meetings: list[YoungMeeting], reserved: Reservations, expected: Load
) -> None:
    assert load_of(participants, *meetings, reserved=reserved) == expected


def test_a_poll_may_see_a_meeting_whose_create_finished_after_it_began() -> None:
    meetings = [young("before", age=6), young("at once", age=5), young("after", age=4), young("unseen", age=4)]
    seen = snapshot({"before": 0, "at once": 0, "after": 0}, ago=5)
    assert polled(seen, *meetings).late == ("at once", "after")


def test_without_a_snapshot_only_our_own_rows_count() -> None:
    assert load(None, Reservations(3, 42.0), video_weight=0.5) == Load(0, 0, 42.0, 3)
    assert load(None, NONE, video_weight=0.5) == Load(0, 0, 0, 0)


def test_webcams_weigh_on_the_score_but_are_no_users() -> None:
    found = load_of({"a": 30}, video=8)
    assert (found.people, found.video, found.score(2.0)) == (30, 4.0, 17.0)


def test_capacity_divides() -> None:
    assert Load(30, 7, 3, 4).score(2.0) == 20
    assert Load(30, 7, 3, 4).score(0.5) == 80
    assert Load(30, 7, 3, 4).score(2.0, 10) == 25


@pytest.mark.parametrize(
    ("query", "hint", "most"),
    [
        (b"", None, None),
        (b"meta_bbb-meeting-size-hint=40", 40, None),
        (b"meta_bbb-meeting-size-hint=0", None, None),
        (b"meta_bbb-meeting-size-hint=many", None, None),
        (b"meta_bbb-meeting-size-hint=-5", None, None),
        (b"meta_bbb-meeting-size-hint=99999", 10_000, None),
        (b"meta_bbb-meeting-size-hint=99999999999999999999", None, None),
        (b"meta_bbb-meeting-size-hint=%D9%A4", None, None),
        (b"maxParticipants=3", None, 3),
        (b"maxParticipants=0", None, None),
        (b"maxParticipants=30&meta_bbb-meeting-size-hint=40", 40, 30),
    ],
)
def test_what_a_front_end_says_about_a_room_counts_within_reason(
    query: bytes, hint: float | None, most: float | None
) -> None:
    assert room(Parameters.parse(query)) == (hint, most)


@pytest.mark.parametrize(
    ("hint", "most", "peak", "users"),
    [
        # Without anything else, as many as usual.
        (None, None, None, 10),
        (None, None, 0, 10),
        # The room's history knows better, and the front end knows better still.
        (None, None, 60, 60),
        (40, None, 60, 40),
        # Never more than may come in.
        (None, 3, None, 3),
        (None, 300, None, 10),
        (None, 30, 60, 30),
        (40, 30, None, 30),
    ],
)
def test_a_room_is_expected_to_be_as_full_as_lately_unless_the_front_end_knows_better(
    hint: float | None, most: float | None, peak: float | None, users: float
) -> None:
    assert Room(hint, most).expected(peak, 10) == users
