"""Freshness and the observed state: stale is a state of its own, never the last good value."""

from datetime import UTC, datetime, timedelta

import pytest

from balancer.core.nodes import (
    AdminState,
    Node,
    NodeRefusedError,
    Observation,
    ObservedState,
    Snapshot,
    api_url,
    checked_name,
    checked_secret,
    observed_state,
)

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


@pytest.mark.parametrize(
    "given",
    [
        "https://bbb1.example.org",
        "https://bbb1.example.org/",
        "https://bbb1.example.org/bigbluebutton",
        "https://bbb1.example.org/bigbluebutton/",
        "https://bbb1.example.org/bigbluebutton/api",
        "https://bbb1.example.org/bigbluebutton/api/",
        "https://bbb1.example.org//bigbluebutton//api//",
        "https://bbb1.example.org/api",
        "HTTPS://BBB1.example.org:443/bigbluebutton/api\n",
    ],
)
def test_every_historical_shape_of_a_url_is_one_url(given: str) -> None:
    assert api_url(given) == "https://bbb1.example.org/bigbluebutton/api/"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090/bigbluebutton/api/"),
        ("http://bbb1:80/", "http://bbb1/bigbluebutton/api/"),
        ("https://bbb1:80", "https://bbb1:80/bigbluebutton/api/"),
        ("https://gate.example.org/bbb1/bigbluebutton/api", "https://gate.example.org/bbb1/bigbluebutton/api/"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/bigbluebutton/api/"),
    ],
)
def test_ports_prefixes_and_addresses_are_kept(given: str, expected: str) -> None:
    assert api_url(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "bbb1.example.org",
        "ftp://bbb1",
        "https://",
        "https://u:p@bbb1/",
        "https://bbb1/?a=b",
        "https://bbb1/ x",
        "https://bbb1/#f",
    ],
)
def test_what_is_no_url_of_a_node_is_refused(given: str) -> None:
    with pytest.raises(NodeRefusedError, match="is not the URL of a node"):
        api_url(given)


@pytest.mark.parametrize("given", ["", "-a", "a b", "a/b", "ä", "a\n"])
def test_names_are_plain(given: str) -> None:
    with pytest.raises(NodeRefusedError, match="is not a name"):
        checked_name(given)


def test_a_secret_loses_its_line_end_and_nothing_else() -> None:
    assert checked_secret("pässword-1'\"\r\n") == "pässword-1'\""


@pytest.mark.parametrize("given", ["", "\n", "two words", "two\nlines", "tab\t", "nul\0"])
def test_a_secret_that_cannot_be_one_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(NodeRefusedError) as refused:
        checked_secret(given)
    assert not given.strip() or given.strip() not in str(refused.value)
