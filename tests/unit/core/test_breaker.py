"""When calls are held back after failures, and when one tries again."""

import pytest

from balancer.core.breaker import Breaker
from tests.manual_clock import Clock

FAILURES = 3
PAUSE = 2.0


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(PAUSE, clock, failures=FAILURES)


@pytest.mark.parametrize(
    ("events", "admitted"),
    [
        ("", True),
        ("fail " * (FAILURES - 1), True),
        ("fail " * FAILURES, False),
        ("fail " * (FAILURES - 1) + "answer fail", True),
        ("fail " * FAILURES + "answer", True),
        ("fail " * FAILURES + "pause", True),
        ("fail " * FAILURES + "pause try", False),
        ("fail " * FAILURES + "pause try fail", False),
        ("fail " * FAILURES + "pause try answer", True),
        ("fail " * FAILURES + "pause try pause", True),
        ("fail " * FAILURES + "pause try answer fail", True),
        ("try try try", True),
    ],
)
def test_past_calls_decide(breaker: Breaker, clock: Clock, events: str, admitted: bool) -> None:
    for event in events.split():
        match event:
            case "fail":
                breaker.failed("slow")
            case "answer":
                breaker.answered()
            case "try":
                breaker.admit()
            case "pause":
                clock.now += PAUSE
    assert breaker.admit() is admitted


def test_just_before_the_pause_ends_nothing_is_admitted(breaker: Breaker, clock: Clock) -> None:
    for _ in range(FAILURES):
        breaker.failed()
    clock.now += PAUSE - 0.1
    assert not breaker.admit()


def test_it_reports_when_it_opens_and_closes(breaker: Breaker) -> None:
    assert not breaker.answered()
    assert [breaker.failed(reason) for reason in ("dns", "dns", "slow", "slow")] == [False, False, True, False]
    assert (breaker.open, breaker.failures, breaker.reason) == (True, 4, "slow")
    assert breaker.answered()
    assert (breaker.open, breaker.failures, breaker.reason) == (False, 0, "")


def test_one_failure_is_enough_by_default(clock: Clock) -> None:
    breaker = Breaker(PAUSE, clock)
    assert breaker.failed()
    assert not breaker.admit()
