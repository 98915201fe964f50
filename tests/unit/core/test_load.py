"""A node's load: users seen, and users that are still to come."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.load import Load, Young, expected_users, loads
from balancer.core.nodes import AdminState, Node, Snapshot
from balancer.core.parameters import Parameters

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
YOUNG_FOR = timedelta(minutes=10)
NODE = Node(id=1, name="bbb1", url="https://bbb1/", secret="secret", admin_state=AdminState.ENABLED)


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


def young(internal: str | None, *, age: float, expected: float = 10, created: bool = True) -> Young:
    return Young(
        node_id=1,
        internal_meeting_id=internal,
        expected_users=expected,
        placed_at=NOW.timestamp() - age,
        created_at=NOW.timestamp() - age if created else None,
    )


def load(seen: Snapshot | None, *meetings: Young, placed: tuple[int, float] | None = None) -> Load:
    return loads(
        [NODE], {1: seen} if seen else {}, meetings, {1: placed} if placed else {}, NOW, YOUNG_FOR, video_weight=0.5
    )[1]


@pytest.mark.parametrize(
    ("seen", "meetings", "expected"),
    [
        # Nothing is going on.
        ({}, [], Load(0, 0, 0, 0)),
        # Old meetings count what is in them.
        ({"a": 30, "b": 0}, [], Load(30, 0, 0, 2)),
        # A meeting placed since the poll is a reservation, whether its node has answered yet or not.
        ({}, [young("a", age=1)], Load(0, 0, 10, 1)),
        ({}, [young(None, age=1, created=False)], Load(0, 0, 10, 1)),
        # One that the poll saw still fills ...
        ({"a": 0}, [young("a", age=60)], Load(0, 10, 0, 1)),
        # ... and whoever has come is no longer expected.
        ({"a": 7}, [young("a", age=60)], Load(7, 3, 0, 1)),
        ({"a": 10}, [young("a", age=60)], Load(10, 0, 0, 1)),
        ({"a": 25}, [young("a", age=60)], Load(25, 0, 0, 1)),
        # In the second half of its youth the expectation fades.
        ({"a": 0}, [young("a", age=300)], Load(0, 10, 0, 1)),
        ({"a": 0}, [young("a", age=450)], Load(0, 5, 0, 1)),
        ({"a": 4}, [young("a", age=450)], Load(4, 1, 0, 1)),
        ({"a": 0}, [young("a", age=599)], Load(0, pytest.approx(10 / 300), 0, 1)),
        # One that was there before the poll, and that the poll did not see, is gone.
        ({}, [young("a", age=60)], Load(0, 0, 0, 0)),
        # All together.
        ({"a": 30, "b": 2}, [young("b", age=60), young("c", age=1, expected=5)], Load(32, 8, 5, 3)),
    ],
)
def test_load(seen: dict[str, int], meetings: list[Young], expected: Load) -> None:
    assert load(snapshot(seen), *meetings) == expected


def test_a_meeting_finished_at_the_very_begin_of_a_poll_still_counts() -> None:
    meeting = young("a", age=5)
    assert load(snapshot({}, ago=5), meeting).reserved == 10
    assert load(snapshot({}, ago=4.9), meeting).reserved == 0


def test_without_a_snapshot_our_own_rows_are_all_that_is_known() -> None:
    assert load(None, young("a", age=1), placed=(3, 42.0)) == Load(0, 0, 42.0, 3)
    assert load(None) == Load(0, 0, 0, 0)


def test_another_node_s_meetings_are_not_ours() -> None:
    other = Young(node_id=2, internal_meeting_id=None, expected_users=9, placed_at=NOW.timestamp(), created_at=None)
    assert load(snapshot({}), other) == Load(0, 0, 0, 0)


def test_webcams_weigh_on_the_score_but_are_no_users() -> None:
    found = load(snapshot({"a": 30}, video=8))
    assert (found.people, found.video, found.score(2.0)) == (30, 4.0, 17.0)


def test_capacity_divides() -> None:
    assert Load(30, 7, 3, 4).score(2.0) == 20
    assert Load(30, 7, 3, 4).score(0.5) == 80


@pytest.mark.parametrize(
    ("query", "users"),
    [
        (b"", 10),
        (b"meta_bbb-meeting-size-hint=40", 40),
        (b"meta_bbb-meeting-size-hint=0", 10),
        (b"meta_bbb-meeting-size-hint=many", 10),
        (b"meta_bbb-meeting-size-hint=-5", 10),
        (b"meta_bbb-meeting-size-hint=99999", 10_000),
        (b"meta_bbb-meeting-size-hint=99999999999999999999", 10),
        (b"meta_bbb-meeting-size-hint=%D9%A4", 10),
        (b"maxParticipants=3", 3),
        (b"maxParticipants=0", 10),
        (b"maxParticipants=300", 10),
        (b"maxParticipants=30&meta_bbb-meeting-size-hint=40", 30),
    ],
)
def test_what_a_front_end_tells_of_a_room_is_believed_within_reason(query: bytes, users: float) -> None:
    assert expected_users(Parameters.parse(query), [], 10) == users


@pytest.mark.parametrize(
    ("query", "peaks", "users"),
    [
        (b"", [4, 60, 0], 60),
        (b"", [0, 0], 10),
        (b"meta_bbb-meeting-size-hint=40", [60], 40),
        (b"maxParticipants=30", [60], 30),
    ],
)
def test_a_room_is_expected_to_be_as_full_as_before_unless_the_front_end_knows_better(
    query: bytes, peaks: list[int], users: float
) -> None:
    assert expected_users(Parameters.parse(query), peaks, 10) == users
