"""``balancer database``, and what every command says if the database is old, newer or away."""

import pytest

from balancer.storage.postgresql.database import connect
from balancer.storage.postgresql.schema import migrations
from tests.integration.cli.conftest import NODE_SECRET, Commands

NAMES = [migration.name for migration in migrations()]


@pytest.fixture
def fresh(commands: Commands, empty_database_url: str) -> Commands:
    """Commands for a database without any table."""
    commands.environment["BALANCER_DATABASE_URL"] = empty_database_url
    return commands


def test_check_of_a_current_database(commands: Commands) -> None:
    assert commands.json("database", "check") == {"version": 1, "current": True, "applied": NAMES, "pending": []}
    assert commands.ok("database", "check") == "up to date\n"


def test_check_of_a_new_database_exits_1_and_changes_nothing(fresh: Commands) -> None:
    for _ in range(2):
        result = fresh.run("database", "check", "--format", "json")
        assert result.exit_code == 1
        assert '"pending": [\n    "0001' in result.stdout
    assert f"pending {NAMES[0]}" in fresh.run("database", "check").stdout


def test_migrate_applies_all_and_is_safe_to_repeat(fresh: Commands) -> None:
    assert fresh.json("database", "migrate") == {"version": 1, "changed": True, "applied": NAMES}
    assert fresh.json("database", "migrate") == {"version": 1, "changed": False, "applied": []}
    assert fresh.ok("database", "migrate") == "up to date\n"
    assert fresh.json("database", "check")["current"] is True


@pytest.mark.parametrize(
    "words", [("node", "list"), ("meeting", "list"), ("recording", "queue"), ("node", "show", "x")]
)
def test_an_old_database_is_reported_with_the_remedy(fresh: Commands, words: tuple[str, ...]) -> None:
    assert "run `balancer database migrate` first" in fresh.refused(*words)


def test_a_newer_database_is_refused(commands: Commands, database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO schema_migrations (name) VALUES ('9999_pre_future')")
    for words in (("node", "list"), ("database", "check"), ("database", "migrate")):
        assert "newer release: 9999_pre_future" in commands.refused(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("node", "list"),
        ("node", "add", "bbb1", "https://bbb1.example.org", "--secret-stdin"),
        ("meeting", "where", "x"),
        ("recording", "list"),
        ("database", "check"),
        ("database", "migrate"),
    ],
)
def test_a_database_that_is_away_is_reported_in_one_line(commands: Commands, words: tuple[str, ...]) -> None:
    commands.environment["BALANCER_DATABASE_URL"] = "postgresql://someone:hidden-password@127.0.0.1:1/nothing"
    said = commands.refused(*words, given=NODE_SECRET, code=4)
    assert "PostgreSQL" in said
    assert "127.0.0.1" in said
    assert "is where BALANCER_DATABASE_URL says" in said
    assert "hidden-password" not in said


@pytest.mark.parametrize("url", ["postgresql://u:hidden-password@h/?nonsense=1", "hidden-password"])
def test_a_malformed_database_url_is_reported_without_repeating_it(commands: Commands, url: str) -> None:
    commands.environment["BALANCER_DATABASE_URL"] = url
    said = commands.refused("node", "list", code=3)
    assert "BALANCER_DATABASE_URL" in said
    assert "hidden-password" not in said
