"""What a node's list means for our rows, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.node_call import SeenMeeting
from balancer.core.reconciliation import Findings, MeetingRow, NodeListing, compare
from tests.unit.core.servers import EMPTY_MEETING

POLL = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
GRACE = timedelta(seconds=30)


def at(seconds: float) -> datetime:
    return POLL + timedelta(seconds=seconds)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


SEEN = replace(
    EMPTY_MEETING, meeting_id="room", internal_meeting_id="aaa-1", create_time=milliseconds(at(-60)), xml="<meeting/>"
)
RUNNING = MeetingRow(
    id=1,
    tenant_id=1,
    meeting_id="room",
    state="running",
    internal_meeting_id="aaa-1",
    placed_at=at(-61),
    created_at=at(-59),
    finished_at=None,
    user_joined=False,
)
CREATING = replace(RUNNING, state="creating", internal_meeting_id=None, created_at=None)
LOST = replace(CREATING, state="lost", finished_at=at(-40))
MOVED = replace(RUNNING, state="lost", finished_at=at(-10))


def findings(
    rows: list[MeetingRow], seen: list[SeenMeeting], *, before: set[str] | None = None, ahead: float = 0
) -> Findings:
    listing = NodeListing(
        node_id=1,
        poll_started=POLL,
        meetings=seen,
        listed_before=frozenset(before or ()),
        clock_ahead=timedelta(seconds=ahead),
    )
    return compare(rows, listing, create_grace=GRACE)


def test_no_rows_and_an_empty_list_give_no_findings() -> None:
    assert not findings([], [])


def test_a_meeting_without_a_row_is_left_alone() -> None:
    assert not findings([], [SEEN])
    assert not findings([RUNNING], [SEEN, replace(SEEN, meeting_id="other", internal_meeting_id="bbb-1")])


@pytest.mark.parametrize(
    ("created", "before", "ended", "doubtful"),
    [
        # In the previous list, and no longer in this one.
        (-59.0, {"aaa-1"}, 1, 0),
        # Never in a list: the node is asked for it.
        (-59.0, set(), 0, 1),
        # The create finished when the poll began, or later: the poll proves nothing.
        (0.0, {"aaa-1"}, 0, 0),
        (5.0, set(), 0, 0),
    ],
)
def test_only_a_poll_that_began_after_the_create_can_end_a_meeting(
    created: float, before: set[str], ended: int, doubtful: int
) -> None:
    found = findings([replace(RUNNING, created_at=at(created))], [], before=before)
    assert (len(found.ended), len(found.doubtful)) == (ended, doubtful)


def test_the_first_user_is_noted_once() -> None:
    joined = replace(SEEN, user_joined=True)
    assert findings([RUNNING], [joined]).joined == [RUNNING]
    assert not findings([replace(RUNNING, user_joined=True)], [joined])


def test_a_namesake_with_another_internal_id_does_not_keep_a_meeting_alive() -> None:
    again = replace(SEEN, internal_meeting_id="aaa-2")
    assert findings([RUNNING], [again], before={"aaa-1"}).ended == [RUNNING]


@pytest.mark.parametrize(("placed", "acts"), [(-31.0, True), (-30.0, False), (-1.0, False), (1.0, False)])
def test_a_create_is_given_time_to_finish(placed: float, acts: bool) -> None:
    row = replace(CREATING, placed_at=at(placed))
    assert bool(findings([row], []).abandoned) is acts
    assert bool(findings([row], [SEEN]).adopted) is acts


def test_a_meeting_that_is_being_ended_is_not_adopted() -> None:
    found = findings([CREATING], [replace(SEEN, forcibly_ended=True)])
    assert found.abandoned == [CREATING]


def test_another_row_s_meeting_is_not_adopted() -> None:
    found = findings([CREATING, MOVED], [SEEN])
    assert found.adopted == []


def test_a_meeting_lost_with_its_node_returns_with_it() -> None:
    (found,) = findings([MOVED], [SEEN]).returned
    assert (found.row, found.meeting) == (MOVED, SEEN)


def test_a_lost_meeting_does_not_return_beside_its_live_successor() -> None:
    successor = replace(RUNNING, id=2, internal_meeting_id="aaa-2")
    seen = [SEEN, replace(SEEN, internal_meeting_id="aaa-2")]
    assert not findings([MOVED, successor], seen)


def test_a_meeting_left_by_a_timed_out_create_is_found() -> None:
    (found,) = findings([LOST], [SEEN]).left_over
    assert (found.row, found.meeting) == (LOST, SEEN)
    # Tied to its row by an earlier poll, and still there.
    tied = replace(LOST, internal_meeting_id="aaa-1")
    assert len(findings([tied], [SEEN]).left_over) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"user_joined": True},
        {"participants": 1},
        {"breakout": True},
        {"forcibly_ended": True},
        {"meeting_id": "other"},
        # Created before our create was sent, or so much later that it is another client's.
        {"create_time": milliseconds(at(-64))},
        {"create_time": milliseconds(at(-40) + timedelta(minutes=11))},
    ],
)
def test_a_meeting_that_may_not_be_ours_is_left_alone(change: dict[str, object]) -> None:
    assert not findings([LOST], [replace(SEEN, **change)])  # type: ignore[arg-type]


def test_a_meeting_is_left_alone_if_the_lost_row_is_tied_to_another() -> None:
    assert not findings([replace(LOST, internal_meeting_id="aaa-0")], [SEEN])


@pytest.mark.parametrize("other", [replace(RUNNING, id=2), replace(CREATING, id=2, placed_at=at(-1))])
def test_a_left_over_meeting_is_left_alone_while_its_meetingid_is_live(other: MeetingRow) -> None:
    assert findings([LOST, other], [SEEN]).left_over == []


@pytest.mark.parametrize(("ahead", "found"), [(0.0, 0), (7200.0, 1), (-7200.0, 0)])
def test_createtime_is_corrected_by_the_node_s_clock(ahead: float, found: int) -> None:
    seen = replace(SEEN, create_time=milliseconds(at(-60 + 7200)))
    assert len(findings([LOST], [seen], ahead=ahead).left_over) == found
