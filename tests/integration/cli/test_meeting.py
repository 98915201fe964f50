"""``balancer meeting``: list, where, trace, and which nodes count as online for give-up."""

import pytest

from balancer.core.nodes import ObservedState
from balancer.storage.postgresql.database import Connection
from tests.integration.cli.conftest import Commands, Observe, Place


@pytest.fixture
def two_nodes(commands: Commands) -> None:
    commands.add("bbb1", "--state", "enabled")
    commands.add("bbb2", "--state", "enabled")


@pytest.mark.usefixtures("two_nodes")
def test_the_list_contains_live_meetings_only(commands: Commands, place: Place) -> None:
    place("bbb1", "over", "aaa-0", "ended")
    place("bbb1", "course-1", "aaa-1")
    place("bbb2", "course-2", "aaa-2")
    found = commands.json("meeting", "list")["meetings"]
    assert [(each["meeting_id"], each["node"], each["state"]) for each in found] == [
        ("course-1", "bbb1", "running"),
        ("course-2", "bbb2", "running"),
    ]
    assert set(found[0]) == {
        "meeting_id",
        "tenant",
        "node",
        "state",
        "internal_meeting_id",
        "create_time",
        "placed_at",
        "user_joined",
        "recorded",
        "users",
    }
    (only,) = commands.json("meeting", "list", "--node", "bbb2")["meetings"]
    assert only["meeting_id"] == "course-2"


@pytest.mark.usefixtures("two_nodes")
def test_users_are_shown_only_for_nodes_that_are_online(commands: Commands, place: Place, observe: Observe) -> None:
    place("bbb1", "course-1", "aaa-1")
    for state, age, users in (
        (ObservedState.ONLINE, 100, None),
        (ObservedState.ONLINE, 1, 7),
        (ObservedState.UNREACHABLE, 1, None),
    ):
        observe("bbb1", state, age=age, participants={"aaa-1": 7})
        for command in (("list",), ("where", "course-1")):
            assert [each["users"] for each in commands.json("meeting", *command)["meetings"]] == [users]


@pytest.mark.usefixtures("two_nodes")
def test_a_node_without_meetings_is_distinguished_from_an_unknown_one(commands: Commands) -> None:
    assert commands.ok("meeting", "list", "--node", "bbb1") == "no meetings\n"
    assert "no node is named bbb9" in commands.refused("meeting", "list", "--node", "bbb9")


def test_an_empty_list_says_so(commands: Commands) -> None:
    assert commands.ok("meeting", "list") == "no meetings\n"
    assert commands.json("meeting", "list") == {"version": 1, "meetings": []}


@pytest.mark.usefixtures("two_nodes")
@pytest.mark.parametrize("asked", ["course-1", "aaa-1"])
def test_where_takes_either_id(commands: Commands, place: Place, asked: str) -> None:
    place("bbb1", "course-1", "aaa-0", "ended")
    place("bbb2", "course-1", "aaa-1")
    (found,) = commands.json("meeting", "where", asked)["meetings"]
    assert (found["node"], found["internal_meeting_id"]) == ("bbb2", "aaa-1")
    assert "bbb2" in commands.ok("meeting", "where", asked)


@pytest.mark.usefixtures("two_nodes")
def test_where_distinguishes_a_past_meeting_from_an_unknown_one(commands: Commands, place: Place) -> None:
    place("bbb1", "course-1", "aaa-1", "ended")
    assert "it was ended on bbb1" in commands.refused("meeting", "where", "course-1")
    assert commands.refused("meeting", "where", "nothing") == "balancer: no meeting 'nothing' is running\n"


@pytest.mark.usefixtures("two_nodes")
def test_trace_shows_every_transition_with_its_cause(commands: Commands, place: Place, rows: Connection) -> None:
    place("bbb1", "course-1", "aaa-1", "ended")
    newest = place("bbb2", "course-1", "aaa-2", "creating")
    rows.execute("UPDATE meetings SET state = 'running', cause = 'created' WHERE id = %s", [newest])
    first, second = commands.json("meeting", "trace", "course-1")["placements"]
    assert (first["node"], second["node"]) == ("bbb2", "bbb1")
    assert [(event["from_state"], event["to_state"], event["cause"]) for event in first["events"]] == [
        (None, "creating", "placed"),
        ("creating", "running", "created"),
    ]
    text = commands.ok("meeting", "trace", "course-1")
    assert "course-1 (default) on bbb2, aaa-2: running" in text
    assert "creating -> running: created" in text


def test_trace_of_nothing(commands: Commands) -> None:
    assert "was ever placed here" in commands.refused("meeting", "trace", "nothing")


def _state(rows: Connection, number: int) -> str:
    (row,) = rows.execute("SELECT state FROM meetings WHERE id = %s", [number])
    return str(row["state"])


@pytest.mark.usefixtures("two_nodes")
def test_give_up_is_refused_if_a_fresh_poll_found_the_node_online(
    commands: Commands, place: Place, rows: Connection, observe: Observe
) -> None:
    row = place("bbb1", "course-1", "aaa-1")
    observe("bbb1")
    assert "bbb1 answers, so course-1 is not lost" in commands.refused("meeting", "give-up", "course-1")
    assert _state(rows, row) == "running"


@pytest.mark.usefixtures("two_nodes")
def test_give_up_proceeds_without_a_recent_poll_and_says_so(
    commands: Commands, place: Place, rows: Connection, observe: Observe
) -> None:
    row = place("bbb1", "course-1", "aaa-1")
    observe("bbb1", age=600)
    said = commands.ok("meeting", "give-up", "course-1")
    assert "course-1 on bbb1 is given up" in said
    assert "no recent poll shows" in said
    assert _state(rows, row) == "lost"


@pytest.mark.usefixtures("two_nodes")
def test_give_up_proceeds_if_redis_is_away(
    commands: Commands, place: Place, rows: Connection, observe: Observe
) -> None:
    row = place("bbb1", "course-1", "aaa-1")
    observe("bbb1")
    commands.environment["BALANCER_REDIS_URL"] = "unix:///nowhere.sock"
    result = commands.run("meeting", "give-up", "course-1")
    assert result.exit_code == 0, result.output
    assert "no recent poll shows" in result.stdout
    assert "the nodes' load is unknown" in result.stderr
    assert "joins may still be sent to bbb1" in result.stderr
    assert _state(rows, row) == "lost"


@pytest.mark.usefixtures("two_nodes")
def test_give_up_reports_the_observed_state_as_json(commands: Commands, place: Place, observe: Observe) -> None:
    for number, (state, age, expected) in enumerate(
        [(ObservedState.ONLINE, 600.0, "stale"), (ObservedState.UNREACHABLE, 1.0, "unreachable")]
    ):
        place("bbb1", f"course-{number}", f"aaa-{number}")
        observe("bbb1", state, age=age)
        assert commands.json("meeting", "give-up", f"course-{number}")["observed_state"] == expected
