"""Freshness and the observed state: stale is a state of its own, never the last good value."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.nodes import AdminState, Node, Observation, ObservedState, Snapshot, observed_state

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
INTERVAL = 10.0


def snapshot(seconds_ago: float) -> Snapshot:
    started = NOW - timedelta(seconds=seconds_ago)
    return Snapshot(
        node_id=1,
        fencing=1,
        poll_started=started,
        polled=started + timedelta(seconds=1),
        users=3,
        video=1,
        participants={"a-1": 3, "b-2": 0},
    )


def observation(state: ObservedState) -> Observation:
    return Observation(state=state, reason="", since=NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("stored", "seconds_ago", "expected"),
    [
        (None, None, ObservedState.UNKNOWN),
        (None, 1.0, ObservedState.UNKNOWN),
        (ObservedState.ONLINE, 1.0, ObservedState.ONLINE),
        (ObservedState.ONLINE, 30.0, ObservedState.ONLINE),
        # The poller died, or the snapshot could not be written: the last good value is not carried on.
        (ObservedState.ONLINE, 30.1, ObservedState.STALE),
        # Redis was wiped.
        (ObservedState.ONLINE, None, ObservedState.STALE),
        # What is known to be bad stays bad, however old.
        (ObservedState.SUSPECT, 500.0, ObservedState.SUSPECT),
        (ObservedState.UNREACHABLE, None, ObservedState.UNREACHABLE),
        # A last good snapshot does not make a failing node look well.
        (ObservedState.UNREACHABLE, 1.0, ObservedState.UNREACHABLE),
    ],
)
def test_the_observed_state_needs_a_fresh_snapshot(
    stored: ObservedState | None, seconds_ago: float | None, expected: ObservedState
) -> None:
    seen = observed_state(
        observation(stored) if stored else None,
        None if seconds_ago is None else snapshot(seconds_ago),
        NOW,
        INTERVAL,
    )
    assert seen is expected


def test_age_counts_from_the_start_of_the_poll() -> None:
    assert snapshot(7.0).age(NOW) == timedelta(seconds=7)


def test_a_snapshot_counts_its_meetings() -> None:
    assert snapshot(1.0).meetings == 2


def test_a_node_never_shows_its_secret() -> None:
    node = Node(id=1, name="bbb1", url="https://bbb1.example.org/", secret="hidden", admin_state=AdminState.ENABLED)
    assert "hidden" not in repr(node)
