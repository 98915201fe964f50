"""Admin states of nodes, and how nodes are shown."""

from datetime import UTC, datetime

import pytest

from balancer.core.nodes import ObservedState
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.whereabouts import Location, Whereabouts
from tests.integration.cli.conftest import Commands, Observe, Place

TAKES, TAKES_NONE = "takes new meetings", "takes no new meetings"
LAST_RESORT = f"{TAKES} only while no other node is in a better state"


@pytest.mark.parametrize(("verb", "state"), [("enable", "enabled"), ("drain", "draining"), ("disable", "disabled")])
def test_a_state_is_set_once(commands: Commands, verb: str, state: str) -> None:
    commands.add("bbb1", "--state", "enabled" if state != "enabled" else "draining")
    assert commands.json("node", verb, "bbb1")["changed"] is True
    again = commands.json("node", verb, "bbb1")
    assert (again["changed"], again["node"]["admin_state"]) == (False, state)
    assert commands.ok("node", verb, "bbb1") == f"bbb1 is already {state}\n"


@pytest.mark.parametrize("verb", ["enable", "drain", "disable", "remove", "show", "explain"])
def test_an_unknown_node_is_reported(commands: Commands, verb: str) -> None:
    assert "no node is named bbb9" in commands.refused("node", verb, "bbb9")


def test_disabling_a_busy_node_asks_for_force_and_names_its_meetings(commands: Commands, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled")
    for number in range(12):
        place("bbb1", f"course-{number:02}", f"aaa-{number}")
    said = commands.refused("node", "disable", "bbb1")
    assert "12 meetings: course-00, course-01" in said
    assert "and 2 more" in said
    assert "--force" in said
    assert commands.json("node", "show", "bbb1")["node"]["admin_state"] == "enabled"
    assert commands.json("node", "disable", "bbb1", "--force")["node"]["admin_state"] == "disabled"
    # Nothing was ended.
    assert len(commands.json("meeting", "list")["meetings"]) == 12


def test_draining_a_busy_node_asks_for_nothing(commands: Commands, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled")
    place("bbb1", "course", "aaa-1")
    assert commands.json("node", "drain", "bbb1")["node"]["admin_state"] == "draining"


def test_removal_requires_an_empty_node_out_of_service(commands: Commands, place: Place, rows: Connection) -> None:
    commands.add("bbb1", "--state", "enabled")
    assert "is enabled" in commands.refused("node", "remove", "bbb1")
    commands.ok("node", "drain", "bbb1")
    row = place("bbb1", "course", "aaa-1")
    assert "1 meeting: course" in commands.refused("node", "remove", "bbb1")
    assert commands.json("node", "show", "bbb1")["node"]["admin_state"] == "draining"
    rows.execute("UPDATE meetings SET state = 'ended', finished_at = now() WHERE id = %s", [row])
    assert commands.json("node", "remove", "bbb1") == {"version": 1, "changed": True, "lost_meetings": []}
    assert commands.json("node", "list")["nodes"] == []
    # The row, and with it the meeting's tenant, outlives the node.
    kept = rows.execute("SELECT node_id, node_name, state FROM meetings").fetchall()
    assert kept == [{"node_id": None, "node_name": "bbb1", "state": "ended"}]


def test_a_forced_removal_gives_its_meetings_up(
    commands: Commands, place: Place, rows: Connection, client: redis_client.Redis
) -> None:
    commands.add("bbb1", "--state", "enabled")
    row = place("bbb1", "course", "aaa-1")
    node = nodes.by_name(rows, "bbb1")
    Whereabouts(client).note(1, "course", Location(row, node.id, "aaa-1"))
    answer = commands.json("node", "remove", "bbb1", "--force")
    assert answer["lost_meetings"] == ["course"]
    assert Whereabouts(client).find(1, "course") is None
    (trace,) = commands.json("meeting", "trace", "course")["placements"]
    assert trace["state"] == "lost"
    assert trace["events"][-1]["cause"] == "its node was removed"


def test_the_list_shows_fresh_figures(commands: Commands, observe: Observe, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled", "--weight", "2")
    place("bbb1", "course", "aaa-1")
    observe("bbb1", participants={"aaa-1": 30, "somebody-elses": 4})
    (node,) = commands.json("node", "list")["nodes"]
    assert (node["observed_state"], node["users"], node["meetings"]) == ("online", 34, 2)
    assert node["load"] == 17.0
    assert 1.0 <= node["snapshot_age"] < 30
    assert node["bbb_version"] == "3.0.4"
    head, line = commands.ok("node", "list").splitlines()
    assert head.split()[:3] == ["NAME", "WANTED", "OBSERVED"]
    assert line.split()[:3] == ["bbb1", "enabled", "online"]


def test_old_figures_are_stale_and_not_shown(commands: Commands, observe: Observe, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled")
    place("bbb1", "course", "aaa-1")
    observe("bbb1", age=31, participants={"aaa-1": 30})
    (node,) = commands.json("node", "list")["nodes"]
    assert (node["observed_state"], node["load"], node["users"], node["meetings"]) == ("stale", None, None, 1)
    assert node["snapshot_age"] >= 31


def test_without_redis_nodes_are_listed_without_figures(commands: Commands, observe: Observe) -> None:
    commands.add("bbb1", "--state", "enabled")
    observe("bbb1")
    commands.environment["BALANCER_REDIS_URL"] = "unix:///nonexistent/redis.sock"
    result = commands.run("node", "list")
    assert result.exit_code == 0
    assert "Redis" in result.stderr
    assert "stale" in result.stdout


def test_a_stale_state_has_a_reason_and_its_own_time(commands: Commands, observe: Observe) -> None:
    commands.add("bbb1")
    observe("bbb1", age=100)
    shown = commands.json("node", "show", "bbb1")["node"]
    assert (shown["observed_state"], shown["reason"]) == ("stale", "no fresh figures")
    # Three intervals after the poll, which was 100 seconds ago.
    went = 100 - (datetime.now(UTC) - datetime.fromisoformat(shown["since"])).total_seconds()
    assert went == pytest.approx(30, abs=5)


def test_an_empty_list_names_the_remedy(commands: Commands) -> None:
    assert "balancer node add" in commands.ok("node", "list")


@pytest.mark.parametrize(
    ("admin", "state", "reason", "age", "helps", "verdict"),
    [
        ("enabled", ObservedState.ONLINE, "", 1, [], TAKES),
        ("draining", ObservedState.ONLINE, "", 1, ["balancer node enable bbb1"], TAKES_NONE),
        ("enabled", ObservedState.SUSPECT, "tls", 1, ["certificate"], LAST_RESORT),
        ("enabled", ObservedState.UNREACHABLE, "checksum", 1, ["secret"], TAKES_NONE),
        ("disabled", ObservedState.UNREACHABLE, "dns", 1, ["balancer node enable bbb1", "resolve"], TAKES_NONE),
        ("enabled", ObservedState.ONLINE, "", 100, ["balancer-poller.service"], LAST_RESORT),
    ],
)
def test_explain_says_why_not_and_what_helps(
    commands: Commands,
    observe: Observe,
    admin: str,
    state: ObservedState,
    reason: str,
    age: float,
    helps: list[str],
    verdict: str,
) -> None:
    commands.add("bbb1", "--state", admin)
    observe("bbb1", state, reason, age=age)
    answer = commands.json("node", "explain", "bbb1")
    assert answer["takes_new_meetings"] is not bool(helps)
    assert len(answer["reasons"]) == len(helps)
    for said, part in zip(answer["reasons"], helps, strict=True):
        assert part in said
    assert commands.ok("node", "explain", "bbb1").splitlines()[0] == f"bbb1 {verdict}"
    assert answer["last_resort"] is (verdict == LAST_RESORT)
    # A create has only this node to choose from, and agrees.
    assert (commands.json("placement", "explain")["chosen"] == "bbb1") is (verdict != TAKES_NONE)


def test_explain_says_if_most_nodes_fail_together(commands: Commands, observe: Observe) -> None:
    said = []
    for name in ("bbb1", "bbb2", "bbb3"):
        commands.add(name, "--state", "enabled")
        observe(name)
    for name in ("bbb1", "bbb2"):
        observe(name, ObservedState.SUSPECT, "connect")
        said.append(commands.json("node", "explain", "bbb1")["notes"])
    assert said[0] == []
    assert said[1][0].startswith("2 of 3 nodes fail together")


def test_a_refused_digest_is_distinguished_from_a_wrong_secret(commands: Commands, observe: Observe) -> None:
    commands.add("bbb1", "--state", "enabled")
    observe("bbb1", ObservedState.UNREACHABLE, "checksum", digests=("sha1", "sha512"))
    (said,) = commands.json("node", "explain", "bbb1")["reasons"]
    assert "does not accept sha256, which the balancer signs with, but sha1, sha512" in said
    assert "BALANCER_NODE_CHECKSUM_ALGORITHM" in said
    assert "digests: sha1 sha512" in commands.ok("node", "show", "bbb1").splitlines()


def test_digests_from_before_the_refusal_explain_nothing(commands: Commands, observe: Observe) -> None:
    commands.add("bbb1", "--state", "enabled")
    observe("bbb1", ObservedState.UNREACHABLE, "checksum", digests=("sha1", "sha256"))
    (said,) = commands.json("node", "explain", "bbb1")["reasons"]
    assert "secret" in said
    assert "does not accept" not in said


def test_explain_shows_limits_and_tags(commands: Commands, observe: Observe, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled", "--tag", "exam", "--soft-users", "30", "--hard-meetings", "2")
    observe("bbb1", participants={"aaa-1": 35})
    answer = commands.json("node", "explain", "bbb1")
    assert answer["takes_new_meetings"] is True
    assert answer["notes"] == [
        "it is kept for creates with meta_server-tag exam",
        "it is at its soft limit of users and avoided while others are below theirs:"
        " it has 1 meeting, and 35 users there or expected",
        "limits: 2 hard meetings, 30 soft users",
    ]
    observe("bbb1", participants={"aaa-1": 4, "aaa-2": 0})
    (said,) = commands.json("node", "explain", "bbb1")["reasons"]
    assert said == "it is at the limit of meetings: it has 2 meetings, and 4 users there or expected"
    text = commands.ok("node", "explain", "bbb1")
    assert "takes no new meetings" in text
    assert "meta_server-tag exam" in text


def test_a_node_never_polled_is_explained(commands: Commands) -> None:
    commands.add("bbb1", "--state", "enabled")
    (said,) = commands.json("node", "explain", "bbb1")["reasons"]
    assert "never polled" in said


def test_show_prints_one_line_a_field(commands: Commands, observe: Observe) -> None:
    commands.add("bbb1", "--tag", "big", "--tag", "exam")
    observe("bbb1", ObservedState.SUSPECT, "slow")
    lines = commands.ok("node", "show", "bbb1").splitlines()
    assert "observed state: suspect" in lines
    assert "reason: slow" in lines
    assert "tags: big exam" in lines
    assert "load: -" in lines


def test_names_from_outside_do_not_steer_the_terminal(commands: Commands, place: Place) -> None:
    commands.add("bbb1", "--state", "enabled")
    place("bbb1", "evil\x1b[31m\nroom", "aaa-1")
    assert "\x1b" not in commands.ok("meeting", "list")
    assert "\x1b" not in commands.refused("node", "disable", "bbb1")
    assert "\x1b" not in commands.ok("meeting", "trace", "aaa-1")
