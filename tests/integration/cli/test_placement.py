"""``balancer placement explain``."""

from balancer.core.nodes import ObservedState
from balancer.storage.postgresql.database import Connection
from tests.integration.cli.conftest import Commands, Observe, Place


def test_it_shows_every_node_s_score_its_parts_and_why(
    commands: Commands, observe: Observe, place: Place, rows: Connection
) -> None:
    for name, words in (
        ("bbb1", ["--state", "enabled", "--weight", "2"]),
        ("bbb2", ["--state", "enabled"]),
        ("bbb3", ["--state", "enabled", "--soft-meetings", "1"]),
        ("bbb4", ["--state", "draining"]),
        ("bbb5", ["--state", "enabled", "--tag", "exam"]),
        ("bbb6", ["--state", "enabled"]),
    ):
        commands.add(name, *words)
        observe(name)
    place("bbb1", "course-1", "aaa-1")
    place("bbb1", "course-2", "aaa-2")
    rows.execute("UPDATE meetings SET created_at = clock_timestamp() WHERE meeting_id = 'course-2'")
    observe("bbb1", participants={"aaa-1": 4}, video=6)
    observe("bbb2", participants={"bbb-1": 30})
    observe("bbb3", participants={"ccc-1": 0})
    observe("bbb6", ObservedState.UNREACHABLE, "connect")

    before = rows.execute("SELECT * FROM meetings").fetchall(), rows.execute("SELECT * FROM meeting_events").fetchall()
    answer = commands.json("placement", "explain")
    assert (answer["chosen"], answer["verdict"]) == ("bbb1", "a meeting of 10 users would go to bbb1")
    assert answer["expected_users"] == 10
    found = {node.pop("name"): node for node in answer["nodes"]}
    # (4 seen + 6 to come + 10 not seen yet + 6 webcams at 0.5 + 10 in the new meeting) over 2
    assert found["bbb1"] == {
        "taken": True,
        "score": 16.5,
        "users": 4,
        "filling": 6.0,
        "reserved": 10.0,
        "video": 3.0,
        "weight": 2.0,
        "meetings": 2,
        "tags": [],
        "observed_state": "online",
        "reason": "taken",
    }
    assert list(found)[:3] == ["bbb1", "bbb2", "bbb3"]
    assert {name: node["reason"] for name, node in found.items() if not node["taken"]} == {
        "bbb2": "not taken: another node ranks higher",
        "bbb3": "not taken: at its soft limit of meetings",
        "bbb4": "not taken: draining",
        "bbb5": "not taken: kept for other tags",
        "bbb6": "not taken: unreachable",
    }
    after = rows.execute("SELECT * FROM meetings").fetchall(), rows.execute("SELECT * FROM meeting_events").fetchall()
    assert after == before

    text = commands.ok("placement", "explain").splitlines()
    assert " ".join(text[0].split()) == "NODE SCORE USERS FILLING RESERVED VIDEO WEIGHT MEETINGS TAGS WHY"
    assert " ".join(text[1].split()) == "bbb1 16.5 4 6 10 3 2 2 - taken"
    assert text[-1] == "a meeting of 10 users would go to bbb1"


def test_a_tag_is_written_as_front_ends_write_it(commands: Commands, observe: Observe) -> None:
    for name, words in (("bbb1", ()), ("bbb2", ("--tag", "exam"))):
        commands.add(name, "--state", "enabled", *words)
        observe(name)
    assert commands.json("placement", "explain", "--tag", "exam")["chosen"] == "bbb2"
    assert commands.json("placement", "explain", "--tag", "lab")["chosen"] == "bbb1"
    none = commands.json("placement", "explain", "--tag", "lab!")
    assert (none["tag"], none["chosen"]) == ("lab!", None)
    assert "required tag=lab. (2 nodes without the tag asked for)" in none["verdict"]


def test_it_says_so_if_there_is_no_node(commands: Commands) -> None:
    assert "no node is registered" in commands.ok("placement", "explain")
