"""``balancer node add`` and ``balancer node apply``."""

import json
from pathlib import Path

import pytest

from balancer.storage.postgresql.database import Connection
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from tests.integration.cli.conftest import NODE_SECRET, Commands

URL = "https://bbb1.example.org/bigbluebutton/api/"
NO_LIMITS = dict.fromkeys(("soft_meetings", "hard_meetings", "soft_users", "hard_users"))


def secret_of(rows: Connection, name: str) -> str:
    row = rows.execute("SELECT secret FROM nodes WHERE name = %s", [name]).fetchone()
    assert row
    return str(row["secret"])


def test_a_new_node_is_disabled_and_unknown(commands: Commands, rows: Connection) -> None:
    assert commands.add("bbb1") == {
        "name": "bbb1",
        "url": URL,
        "admin_state": "disabled",
        "observed_state": "unknown",
        "reason": "",
        "since": None,
        "load": None,
        "meetings": 0,
        "users": None,
        "snapshot_age": None,
        "weight": 1.0,
        "tags": [],
        "limits": NO_LIMITS,
        "bbb_version": "",
        "digests": [],
    }
    assert secret_of(rows, "bbb1") == NODE_SECRET


def test_everything_can_be_declared(commands: Commands) -> None:
    node = commands.add(
        "bbb1",
        "--state",
        "enabled",
        "--weight",
        "2.5",
        "--tag",
        "big",
        "--tag",
        "exam",
        "--tag",
        "big",
        "--hard-users",
        "300",
    )
    assert (node["admin_state"], node["weight"], node["tags"]) == ("enabled", 2.5, ["big", "exam"])
    assert node["limits"] == NO_LIMITS | {"hard_users": 300}


def test_the_secret_may_come_from_a_file(commands: Commands, rows: Connection, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{NODE_SECRET}\n")
    commands.ok("node", "add", "bbb1", "https://bbb1.example.org", "--secret-file", str(path))
    assert secret_of(rows, "bbb1") == NODE_SECRET


@pytest.mark.parametrize("words", [[], ["--secret-stdin", "--secret-file", "/dev/null"]])
def test_the_secret_comes_from_one_place(commands: Commands, words: list[str]) -> None:
    said = commands.refused("node", "add", "bbb1", URL, *words, given=NODE_SECRET)
    assert "--secret-stdin or with --secret-file" in said


@pytest.mark.parametrize("given", ["", "\n", "two words", "two\nlines"])
def test_what_is_no_secret_is_refused(commands: Commands, rows: Connection, given: str) -> None:
    commands.refused("node", "add", "bbb1", URL, "--secret-stdin", given=given)
    assert rows.execute("SELECT FROM nodes").rowcount == 0


def test_there_is_no_option_that_takes_a_secret(commands: Commands) -> None:
    commands_help = commands.ok("node", "add", "--help") + commands.ok("node", "apply", "--help")
    assert "--secret " not in commands_help
    assert commands.run("node", "add", "bbb1", URL, "--secret", "x").exit_code == 2


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("bbb1", "https://other.example.org", "named bbb1"),
        ("other", "https://BBB1.example.org:443/bigbluebutton", URL),
        ("-x", URL, "wrong usage"),
        ("a b", "https://a.example.org", "is not a name"),
        ("good", "not a url", "is not the URL of a node"),
    ],
)
def test_a_known_or_malformed_node_is_refused_and_changes_nothing(
    commands: Commands, rows: Connection, name: str, url: str, said: str
) -> None:
    commands.add("bbb1")
    before = rows.execute("SELECT * FROM nodes").fetchall()
    words = ("node", "add", name, url, "--secret-stdin")
    if said == "wrong usage":
        assert commands.run(*words, given=NODE_SECRET).exit_code == 2
    else:
        assert said in commands.refused(*words, given=NODE_SECRET)
    assert rows.execute("SELECT * FROM nodes").fetchall() == before


@pytest.mark.parametrize(
    "words",
    [
        ["--weight", "0"],
        ["--weight", "1e-308"],
        ["--weight", "nan"],
        ["--weight", "many"],
        ["--tag", "a b"],
        ["--tag", "none", "--tag", "big"],
        ["--state", "gone"],
        ["--hard-users", "-1"],
        ["--soft-meetings", "1.5"],
    ],
)
def test_options_are_checked(commands: Commands, words: list[str]) -> None:
    assert commands.run("node", "add", "bbb1", URL, "--secret-stdin", *words, given=NODE_SECRET).exit_code == 2


def test_two_nodes_may_share_a_secret_and_a_host(commands: Commands) -> None:
    for port in (8001, 8002):
        commands.ok("node", "add", f"n{port}", f"http://127.0.0.1:{port}", "--secret-stdin", given=NODE_SECRET)
    assert [node["url"] for node in commands.json("node", "list")["nodes"]] == [
        "http://127.0.0.1:8001/bigbluebutton/api/",
        "http://127.0.0.1:8002/bigbluebutton/api/",
    ]


def test_the_registry_file_follows_and_a_poll_is_requested(
    commands: Commands, client: redis_client.Redis, tmp_path: Path
) -> None:
    commands.add("bbb1")
    path = tmp_path / "registry.json"
    assert [node["name"] for node in json.loads(path.read_text())["nodes"]] == ["bbb1"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert client.lrange(keys.POLL_REQUESTS, 0, -1) == [""]


def test_registering_works_without_redis(commands: Commands, tmp_path: Path) -> None:
    commands.environment["BALANCER_REDIS_URL"] = f"unix://{tmp_path}/nothing.sock"
    result = commands.run("node", "add", "bbb1", URL, "--secret-stdin", given=NODE_SECRET)
    assert result.exit_code == 0
    assert "Redis" in result.stderr


class TestApply:
    WORDS = ("node", "apply", "bbb1", "--url", "https://bbb1.example.org/bigbluebutton/api", "--secret-stdin")

    def test_it_registers_what_is_new(self, commands: Commands) -> None:
        assert commands.json(*self.WORDS, given=NODE_SECRET) == {
            "version": 1,
            "changed": True,
            "before": None,
            "after": {
                "name": "bbb1",
                "url": URL,
                "admin_state": "disabled",
                "weight": 1.0,
                "tags": [],
                "limits": NO_LIMITS,
                "secret": "set",
            },
        }

    def test_a_second_time_changes_nothing(self, commands: Commands, client: redis_client.Redis) -> None:
        commands.ok(*self.WORDS, given=NODE_SECRET)
        client.delete(keys.POLL_REQUESTS)
        answer = commands.json(*self.WORDS, given=f"{NODE_SECRET}\n")
        assert answer["changed"] is False
        assert answer["before"] | {"secret": "unchanged"} == answer["after"]
        assert not client.exists(keys.POLL_REQUESTS)

    def test_what_is_not_given_stays(self, commands: Commands) -> None:
        commands.ok(*self.WORDS, "--weight", "3", "--tag", "big", "--state", "enabled", given=NODE_SECRET)
        after = commands.json(*self.WORDS, given=NODE_SECRET)["after"]
        assert (after["weight"], after["tags"], after["admin_state"]) == (3.0, ["big"], "enabled")

    def test_tags_are_taken_away_by_name(self, commands: Commands) -> None:
        commands.ok(*self.WORDS, "--tag", "big", "--tag", "exam", given=NODE_SECRET)
        assert commands.json(*self.WORDS, "--tag", "exam", given=NODE_SECRET)["after"]["tags"] == ["exam"]
        assert commands.json(*self.WORDS, "--tag", "none", given=NODE_SECRET)["after"]["tags"] == []
        assert commands.json(*self.WORDS, "--tag", "none", given=NODE_SECRET)["changed"] is False

    def test_limits_stay_until_they_are_changed_or_taken_away(self, commands: Commands) -> None:
        given = ("--soft-meetings", "20", "--hard-meetings", "30", "--soft-users", "200", "--hard-users", "300")
        limits = dict(zip(NO_LIMITS, (20, 30, 200, 300), strict=True))
        assert commands.json(*self.WORDS, *given, given=NODE_SECRET)["after"]["limits"] == limits
        assert commands.json(*self.WORDS, given=NODE_SECRET)["changed"] is False
        changed = commands.json(*self.WORDS, "--hard-users", "0", "--soft-meetings", "25", given=NODE_SECRET)
        assert changed["before"]["limits"] == limits
        assert changed["after"]["limits"] == limits | {"hard_users": None, "soft_meetings": 25}
        assert commands.json("node", "show", "bbb1")["node"]["limits"] == changed["after"]["limits"]
        shown = commands.ok("node", "show", "bbb1").splitlines()
        assert "limits: 25 soft meetings, 30 hard meetings, 200 soft users" in shown

    def test_a_soft_limit_above_the_hard_one_is_refused(self, commands: Commands) -> None:
        commands.ok(*self.WORDS, "--hard-users", "300", given=NODE_SECRET)
        said = commands.refused(*self.WORDS, "--soft-users", "301", given=NODE_SECRET)
        assert "soft limit of 301 users is above the hard one of 300" in said

    def test_an_operators_state_is_left_alone_unless_it_is_given(self, commands: Commands) -> None:
        commands.ok(*self.WORDS, given=NODE_SECRET)
        commands.ok("node", "drain", "bbb1")
        assert commands.json(*self.WORDS, given=NODE_SECRET)["changed"] is False
        answer = commands.json(*self.WORDS, "--state", "enabled", given=NODE_SECRET)
        assert (answer["before"]["admin_state"], answer["after"]["admin_state"]) == ("draining", "enabled")
        assert commands.json("node", "show", "bbb1")["node"]["admin_state"] == "enabled"

    def test_a_changed_url_and_secret_are_taken_in_place(self, commands: Commands, rows: Connection) -> None:
        commands.ok(*self.WORDS, given=NODE_SECRET)
        number = rows.execute("SELECT id FROM nodes").fetchone()
        answer = commands.json(
            "node", "apply", "bbb1", "--url", "https://new.example.org", "--secret-stdin", given="another-secret"
        )
        assert answer["changed"] is True
        assert answer["after"]["secret"] == "changed"
        assert answer["after"]["url"] == "https://new.example.org/bigbluebutton/api/"
        assert rows.execute("SELECT id FROM nodes").fetchone() == number
        assert secret_of(rows, "bbb1") == "another-secret"

    def test_check_reports_and_changes_nothing(self, commands: Commands, rows: Connection) -> None:
        answer = commands.json(*self.WORDS, "--check", given=NODE_SECRET)
        assert (answer["changed"], answer["before"]) == (True, None)
        assert rows.execute("SELECT FROM nodes").rowcount == 0
        commands.ok(*self.WORDS, given=NODE_SECRET)
        answer = commands.json(*self.WORDS, "--weight", "2", "--check", given=NODE_SECRET)
        assert (answer["changed"], answer["before"]["weight"], answer["after"]["weight"]) == (True, 1.0, 2.0)
        assert commands.json("node", "show", "bbb1")["node"]["weight"] == 1.0

    def test_a_url_of_another_node_is_refused(self, commands: Commands) -> None:
        commands.ok(*self.WORDS, given=NODE_SECRET)
        commands.add("bbb2")
        for name in ("bbb2", "bbb3"):
            said = commands.refused("node", "apply", name, "--url", URL, "--secret-stdin", given=NODE_SECRET)
            assert URL in said
