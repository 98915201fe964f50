"""When a node that does not answer gets no calls, and when it is tried again."""

import pytest

from balancer.core.circuit import FAILURES, REST, Circuit

OPEN = Circuit(FAILURES, "slow", 100 + REST)


@pytest.mark.parametrize(
    ("events", "admitted"),
    [
        ("", True),
        ("fail " * (FAILURES - 1), True),
        ("fail " * FAILURES, False),
        ("fail " * (FAILURES - 1) + "answer fail", True),
        ("fail " * FAILURES + "answer", True),
        ("fail " * FAILURES + "rest", True),
        ("fail " * FAILURES + "rest try", False),
        ("fail " * FAILURES + "rest try fail", False),
        ("fail " * FAILURES + "rest try answer", True),
        ("fail " * FAILURES + "rest try rest", True),
        ("fail " * FAILURES + "rest try answer fail", True),
        ("try try try", True),
    ],
)
def test_what_a_circuit_has_seen_decides(events: str, admitted: bool) -> None:
    circuit, now = Circuit(), 100.0
    for event in events.split():
        match event:
            case "fail":
                circuit = circuit.failed(now, "slow")
            case "answer":
                circuit = Circuit()
            case "try":
                circuit = circuit.tried(now)
            case "rest":
                now += REST
    assert circuit.admits(now) is admitted


def test_just_before_its_time_an_open_circuit_admits_nothing() -> None:
    assert not OPEN.admits(99.9 + REST)
    assert OPEN.admits(100 + REST)
