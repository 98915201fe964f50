"""A node's load: users seen, and users that are still to come."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.load import Load, Unseen, Young, load, room, seen
from balancer.core.nodes import Snapshot
from balancer.core.parameters import Parameters

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
YOUNG_FOR = timedelta(minutes=10)
NONE = Unseen()


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


def young(internal: str, *, age: float, expected: float = 10) -> Young:
    at = NOW.timestamp() - age
    return Young(node_id=1, internal_meeting_id=internal, expected_users=expected, placed_at=at, created_at=at)


def load_of(participants: dict[str, int], *meetings: Young, unseen: Unseen = NONE, video: int = 0) -> Load:
    return load(seen(snapshot(participants, video=video), meetings, NOW, YOUNG_FOR), unseen, video_weight=0.5)


@pytest.mark.parametrize(
    ("participants", "meetings", "unseen", "expected"),
    [
        # Nothing is going on.
        ({}, [], NONE, Load(0, 0, 0, 0)),
        # Old meetings count what is in them.
        ({"a": 30, "b": 0}, [], NONE, Load(30, 0, 0, 2)),
        # A meeting placed since the poll is a reservation.
        ({}, [young("a", age=1)], Unseen(1, 10), Load(0, 0, 10, 1)),
        # One that the poll saw still fills ...
        ({"a": 0}, [young("a", age=60)], NONE, Load(0, 10, 0, 1)),
        # ... and whoever has come is no longer expected.
        ({"a": 7}, [young("a", age=60)], NONE, Load(7, 3, 0, 1)),
        ({"a": 10}, [young("a", age=60)], NONE, Load(10, 0, 0, 1)),
        ({"a": 25}, [young("a", age=60)], NONE, Load(25, 0, 0, 1)),
        # In the second half of its youth the expectation fades.
        ({"a": 0}, [young("a", age=300)], NONE, Load(0, 10, 0, 1)),
        ({"a": 0}, [young("a", age=450)], NONE, Load(0, 5, 0, 1)),
        ({"a": 4}, [young("a", age=450)], NONE, Load(4, 1, 0, 1)),
        ({"a": 0}, [young("a", age=599)], NONE, Load(0, pytest.approx(10 / 300), 0, 1)),
        # One that was there before the poll, and that the poll did not see, is gone.
        ({}, [young("a", age=60)], NONE, Load(0, 0, 0, 0)),
        # All together.
        ({"a": 30, "b": 2}, [young("b", age=60), young("c", age=1)], Unseen(1, 5), Load(32, 8, 5, 3)),
    ],
)
def test_load(participants: dict[str, int], meetings: list[Young], unseen: Unseen, expected: Load) -> None:
    assert load_of(participants, *meetings, unseen=unseen) == expected


def test_a_poll_may_see_a_meeting_whose_create_finished_after_it_began() -> None:
    meetings = [young("before", age=6), young("at once", age=5), young("after", age=4), young("unseen", age=4)]
    known = seen(snapshot({"before": 0, "at once": 0, "after": 0}, ago=5), meetings, NOW, YOUNG_FOR)
    assert known.late == ("at once", "after")


def test_without_a_snapshot_our_own_rows_are_all_that_is_known() -> None:
    assert load(None, Unseen(3, 42.0), video_weight=0.5) == Load(0, 0, 42.0, 3)
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
def test_what_a_front_end_tells_of_a_room_is_believed_within_reason(
    query: bytes, hint: float | None, most: float | None
) -> None:
    assert room(Parameters.parse(query)) == (hint, most)
