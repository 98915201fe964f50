"""A node's state after sequences of good and failed polls, beside other nodes that answer or not."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.health import Health, Thresholds, after_failure, after_pass, fault_is_ours, held_back, reconsidered
from balancer.core.nodes import Observation, ObservedState

ONLINE, SUSPECT, UNREACHABLE = ObservedState.ONLINE, ObservedState.SUSPECT, ObservedState.UNREACHABLE
EIGHT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DEFAULT = Thresholds(fail=2, passes=1)


def at(seconds: float) -> datetime:
    return EIGHT + timedelta(seconds=seconds)


def other(state: ObservedState = ONLINE, *, passed: float | None = None, passing_since: float = -100) -> Health:
    """A node that answered its last poll, or did not if ``passed`` is None."""
    if passed is None:
        return Health(state=state, reason="", since=at(-100))
    return Health(state=state, reason="", since=at(-100), passing_since=at(passing_since), passed_at=at(passed))


class Drive:
    """One node, polled every ten seconds."""

    def __init__(self, thresholds: Thresholds = DEFAULT, health: Health | None = None) -> None:
        self.thresholds = thresholds
        self.health = health
        self.second = 0.0

    def ok(self) -> ObservedState:
        self.second += 10
        self.health = after_pass(
            self.health, started=at(self.second - 1), ended=at(self.second), thresholds=self.thresholds
        )
        return self.health.state

    def fail(self, reason: str = "connect", *, others: list[Health] | None = None) -> ObservedState:
        self.second += 10
        # By default two other nodes answered a moment ago.
        others = [other(passed=self.second - 2)] * 2 if others is None else others
        self.health = after_failure(
            self.health,
            reason,
            started=at(self.second - 1),
            ended=at(self.second),
            thresholds=self.thresholds,
            others=others,
        )
        return self.health.state


def test_a_new_node_is_online_at_its_first_good_poll() -> None:
    assert Drive(Thresholds(fail=2, passes=5)).ok() is ONLINE


def test_one_failure_makes_a_node_suspect_and_the_second_unreachable() -> None:
    drive = Drive()
    assert [drive.ok(), drive.fail(), drive.fail(), drive.fail()] == [ONLINE, SUSPECT, UNREACHABLE, UNREACHABLE]


def test_a_new_node_that_never_answers_goes_through_the_same_states() -> None:
    drive = Drive()
    assert [drive.fail(), drive.fail()] == [SUSPECT, UNREACHABLE]


def test_only_failures_in_a_row_count() -> None:
    drive = Drive(Thresholds(fail=3, passes=1))
    states = [drive.fail(), drive.fail(), drive.ok(), drive.fail(), drive.fail(), drive.fail()]
    assert states == [SUSPECT, SUSPECT, ONLINE, SUSPECT, SUSPECT, UNREACHABLE]


def test_a_threshold_of_one_is_possible_for_a_single_node() -> None:
    assert Drive(Thresholds(fail=1, passes=1)).fail(others=[]) is UNREACHABLE


@pytest.mark.parametrize("failures", [1, 2, 4])
def test_enough_good_polls_in_a_row_bring_a_node_back(failures: int) -> None:
    drive = Drive(Thresholds(fail=2, passes=3))
    drive.ok()
    for _ in range(failures):
        down = drive.fail()
    assert [drive.ok(), drive.ok(), drive.fail()][:2] == [down, down]
    assert [drive.ok(), drive.ok(), drive.ok()][2] is ONLINE
    assert drive.health
    assert drive.health.reason == ""


def test_since_is_when_the_state_was_entered() -> None:
    drive = Drive()
    drive.ok()
    drive.fail()
    assert drive.health
    assert drive.health.since == at(20)
    drive.fail()
    # "Unreachable for so long" must not start again when the node fails in another way.
    drive.fail("slow")
    drive.fail("connect")
    assert drive.health.since == at(30)
    drive.ok()
    assert drive.health.since == at(60)
    drive.ok()
    assert drive.health.since == at(60)


def test_a_changed_reason_is_worth_storing_and_a_repeated_one_is_not() -> None:
    drive = Drive()
    drive.fail("slow")
    drive.fail("slow")
    before = drive.health
    assert before
    drive.fail("slow")
    assert drive.health
    assert not drive.health.differs(before)
    drive.fail("tls")
    assert drive.health.differs(before)
    assert drive.health.differs(None)


@pytest.mark.parametrize(
    ("others", "ours"),
    [
        # No other node counts: the failure is considered the node's own.
        ([], False),
        ([other(UNREACHABLE)], False),
        # Two nodes, the other answered, or did not.
        ([other(passed=1)], False),
        ([other(SUSPECT, passed=-1)], True),
        # Its last answer is older than the failure, so it shows nothing.
        ([other(passed=-1)], True),
        ([other(passed=0)], True),
        ([other()], True),
        # Three nodes: one fails, two fail, all fail.
        ([other(passed=1), other(passed=1)], False),
        ([other(passed=1), other(SUSPECT, passed=-1)], True),
        ([other(SUSPECT), other(SUSPECT)], True),
        # Half of four failing is not most of them.
        ([other(passed=1), other(passed=1), other(SUSPECT)], False),
        # They answer, but not yet when the poll that failed last began: our network may have come back in the middle.
        ([other(passed=9, passing_since=9), other(passed=9, passing_since=9)], True),
        ([other(passed=9, passing_since=8), other(passed=8, passing_since=8)], False),
        # Long dead nodes do not make a single new failure look like ours.
        ([other(passed=1), *[other(UNREACHABLE, passed=-1)] * 8], False),
    ],
)
def test_most_nodes_failing_together_is_our_fault(others: list[Health], ours: bool) -> None:
    assert fault_is_ours(at(0), at(8), others) is ours


def test_a_node_answers_from_the_end_of_its_first_good_poll_on() -> None:
    """That poll may have begun before our network recovered, and TCP have sent its request again since."""
    drive = Drive()
    drive.fail()
    drive.ok()
    drive.ok()
    assert drive.health
    assert (drive.health.passing_since, drive.health.passed_at) == (at(20), at(29))


def test_while_the_fault_is_ours_no_node_is_declared_unreachable() -> None:
    drive = Drive()
    drive.ok()
    silent = [other(SUSPECT), other(SUSPECT)]
    assert [drive.fail(others=silent) for _ in range(20)] == [SUSPECT] * 20
    assert drive.ok() is ONLINE


def test_a_node_that_still_fails_when_the_others_return_is_unreachable() -> None:
    drive = Drive()
    drive.ok()
    drive.fail(others=[other(SUSPECT), other(SUSPECT)])
    drive.fail(others=[other(SUSPECT), other(SUSPECT)])
    assert drive.fail() is UNREACHABLE


def held(drive: Drive) -> Health:
    """Its health after two polls that began at 19 and 29 and failed, as those of all others did."""
    drive.ok()
    for _ in range(2):
        drive.fail(others=[other(SUSPECT), other(SUSPECT)])
    assert drive.health
    assert held_back(drive.health, drive.thresholds)
    return drive.health


def test_a_failure_that_was_held_back_counts_once_nodes_answer_that_answered_before() -> None:
    health = held(Drive())
    for answered, state in ((0, SUSPECT), (1, SUSPECT), (2, UNREACHABLE)):
        others = [other(passed=31)] * answered + [other(passed=5)] * (2 - answered)
        after = reconsidered(health, now=at(32), thresholds=DEFAULT, others=others)
        assert after.state is state
        assert after.since == (at(32) if state is UNREACHABLE else at(20))
        assert after.reason == "connect"


def test_after_a_common_fault_only_a_poll_that_began_later_decides() -> None:
    drive = Drive()
    health = held(drive)
    returned = [other(passed=31, passing_since=31)] * 2
    assert reconsidered(health, now=at(32), thresholds=DEFAULT, others=returned) is health
    # Its next poll begins at 39: before they returned, then after.
    assert drive.fail(others=[other(passed=39.5, passing_since=39.5)] * 2) is SUSPECT
    assert drive.fail(others=returned) is UNREACHABLE


def test_other_nodes_do_not_decide_a_first_failure() -> None:
    drive = Drive()
    drive.ok()
    drive.fail()
    assert drive.health
    answering = [other(passed=50)] * 2
    assert reconsidered(drive.health, now=at(51), thresholds=DEFAULT, others=answering) is drive.health


def test_an_unreachable_node_stays_so_while_the_fault_is_ours() -> None:
    drive = Drive()
    drive.fail()
    drive.fail()
    assert drive.fail(others=[other(SUSPECT)]) is UNREACHABLE


@pytest.mark.parametrize("state", [SUSPECT, UNREACHABLE])
def test_a_new_poller_continues_from_the_stored_state(state: ObservedState) -> None:
    stored = Observation(state=state, reason="slow", since=at(-60))
    drive = Drive(health=Health.remembered(stored))
    assert drive.fail("slow") is UNREACHABLE
    assert drive.health
    assert drive.health.since == (at(-60) if state is UNREACHABLE else at(10))


def test_a_new_poller_gives_an_online_node_its_whole_threshold() -> None:
    stored = Observation(state=ONLINE, reason="", since=at(-60))
    drive = Drive(health=Health.remembered(stored))
    assert [drive.fail(), drive.fail()] == [SUSPECT, UNREACHABLE]
