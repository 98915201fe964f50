"""Migrations and functions: safe to repeat, to race and to interrupt, and refused if a newer release applied others."""

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from balancer.storage.postgresql import schema
from balancer.storage.postgresql.database import Connection, connect
from balancer.storage.postgresql.schema import Migration
from tests.migration.schema_dump import dump

SHIPPED = schema.migrations()
NAMES = [migration.name for migration in SHIPPED]
FOLDER = Path(schema.__file__).parent


def function(text: str) -> Migration:
    """A made-up function file; its digest is its text."""
    sql = f"CREATE OR REPLACE FUNCTION made_up() RETURNS text LANGUAGE sql AS $$ SELECT '{text}' $$"
    return Migration("function made_up", sql, digest=text)


@pytest.fixture
def ship(monkeypatch: pytest.MonkeyPatch) -> "Ship":
    return Ship(monkeypatch)


class Ship:
    """Makes this release ship other migrations beside its own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, *more: Migration) -> None:
        numbered = [each for each in (*SHIPPED, *more) if each.digest is None]
        functions = [each for each in (*SHIPPED, *more) if each.digest is not None]
        self._patch.setattr(schema, "migrations", lambda: numbered + functions)


def test_numbered_names_have_no_gap_and_say_when_they_may_run() -> None:
    numbered = [migration.name for migration in SHIPPED if migration.digest is None]
    assert numbered
    for number, name in enumerate(numbered, 1):
        assert name.startswith((f"{number:04}_pre_", f"{number:04}_post_")), name


def test_a_function_file_is_named_as_the_function_and_replaces_it() -> None:
    files = list((FOLDER / "functions").glob("*.sql"))
    assert files
    for file in files:
        assert f"CREATE OR REPLACE FUNCTION {file.stem}(" in file.read_text(), file.name


def test_a_second_run_does_nothing(empty_database_url: str) -> None:
    with connect(empty_database_url) as connection:
        assert schema.migrate(connection) == NAMES
        before = dump(empty_database_url)
        assert schema.migrate(connection) == []
        assert schema.pending(connection) == []
        assert schema.applied(connection) == NAMES
    assert dump(empty_database_url) == before


def test_a_planted_column_is_found_by_the_comparison(database_url: str) -> None:
    before = dump(database_url)
    with connect(database_url) as connection:
        connection.execute("ALTER TABLE nodes ADD COLUMN planted text")
    assert dump(database_url) != before


def test_later_migrations_are_applied_in_order_and_before_functions(database_url: str, ship: Ship) -> None:
    add = Migration("0002_pre_add", "CREATE TABLE added (old int, new int)")
    drop = Migration("0003_post_drop", "ALTER TABLE added DROP COLUMN old")
    reads = "CREATE OR REPLACE FUNCTION reads_new() RETURNS int LANGUAGE sql AS $$ SELECT new FROM added $$"
    ship(add, drop, Migration("function reads_new", reads, digest="1"))
    with connect(database_url) as connection:
        assert schema.migrate(connection) == ["0002_pre_add", "0003_post_drop", "function reads_new"]
        assert schema.pending(connection) == []
    assert "old integer" not in dump(database_url)


def test_a_function_is_replaced_when_its_text_changes(database_url: str, ship: Ship) -> None:
    def says(connection: Connection) -> object:
        row = connection.execute("SELECT made_up()").fetchone()
        return row and row["made_up"]

    with connect(database_url) as connection:
        ship(function("first"))
        assert schema.migrate(connection) == ["function made_up"]
        assert schema.migrate(connection) == []
        assert says(connection) == "first"
        ship(function("second"))
        assert [each.name for each in schema.pending(connection)] == ["function made_up"]
        assert schema.migrate(connection) == ["function made_up"]
        assert says(connection) == "second"


def test_two_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    applied: list[list[str]] = []
    ready = threading.Barrier(4)

    def run() -> None:
        with connect(empty_database_url) as connection:
            ready.wait()
            applied.append(schema.migrate(connection))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], [], [], NAMES]


def test_a_killed_process_leaves_whole_migrations(empty_database_url: str) -> None:
    """The lock and the open transaction end with the connection, and the next run goes on after the last whole one."""
    script = """
import sys
from balancer.storage.postgresql import database, schema
first, *rest = schema.migrations()
slow = schema.Migration(rest[0].name, rest[0].sql + "; SELECT pg_sleep(60)", rest[0].digest)
schema.migrations = lambda: [first, slow, *rest[1:]]
print("begins", flush=True)
schema.migrate(database.connect(sys.argv[1]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, empty_database_url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with connect(empty_database_url, autocommit=True) as watching:
            sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
            while not (found := watching.execute(sleeping).fetchall()):
                assert process.poll() is None
            process.kill()
            # The server notices a vanished client only when it next writes to it.
            watching.execute("SELECT pg_terminate_backend(%s)", [found[0]["pid"]])
    with connect(empty_database_url) as connection:
        assert schema.applied(connection) == NAMES[:1]
        assert schema.migrate(connection) == NAMES[1:]


def test_a_migration_that_fails_leaves_nothing_of_itself(database_url: str, ship: Ship) -> None:
    ship(Migration("9998_pre_bad", "CREATE TABLE half (id int); SELECT 1 / 0"))
    with connect(database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            schema.migrate(connection)
        assert schema.applied(connection) == NAMES
        assert [migration.name for migration in schema.pending(connection)] == ["9998_pre_bad"]
        gone = connection.execute("SELECT to_regclass('half') IS NULL AS gone").fetchone()
        assert gone == {"gone": True}


def test_a_migration_does_not_wait_long_for_a_table_in_use(database_url: str, ship: Ship) -> None:
    """Every later query of the table would wait behind it."""
    ship(Migration("0002_pre_drop", "DROP INDEX recordings_move_due"))
    with connect(database_url) as reading, connect(database_url) as connection:
        reading.execute("SELECT FROM recordings")
        with pytest.raises(schema.SchemaError, match=r"^0002_pre_drop was not applied: .* try again"):
            schema.migrate(connection)
        assert schema.applied(connection) == NAMES
        connection.rollback()
        reading.rollback()
        assert schema.migrate(connection) == ["0002_pre_drop"]


def record(url: str, name: str) -> None:
    """Note a migration of a newer release as applied."""
    with connect(url) as connection:
        connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [name])


@pytest.mark.parametrize("name", ["9999_pre_future", "9999_post_future"])
def test_a_newer_database_is_refused_and_left_alone(database_url: str, name: str) -> None:
    record(database_url, name)
    before = dump(database_url)
    with connect(database_url) as connection:
        for act in (schema.pending, schema.migrate):
            with pytest.raises(schema.SchemaError, match=f"newer release: {name}"):
                act(connection)
            connection.rollback()
    assert dump(database_url) == before


def test_only_pre_migrations_of_a_newer_release_are_accepted_during_an_upgrade(database_url: str) -> None:
    record(database_url, "9998_pre_future")
    with connect(database_url) as connection:
        assert schema.pending(connection, upgrading=True) == []
    record(database_url, "9999_post_future")
    with connect(database_url) as connection, pytest.raises(schema.SchemaError, match=r"release: 9999_post_future$"):
        schema.pending(connection, upgrading=True)


def test_only_a_missing_function_is_pending_during_an_upgrade(database_url: str, ship: Ship) -> None:
    with connect(database_url) as connection:
        ship(function("newer"))
        assert [each.name for each in schema.pending(connection, upgrading=True)] == ["function made_up"]
        schema.migrate(connection)
        ship(function("older"))
        assert schema.pending(connection, upgrading=True) == []
        ship()
        assert schema.pending(connection) == []


def test_the_lock_is_free_after_a_refusal(database_url: str) -> None:
    record(database_url, "9999_post_future")
    with connect(database_url) as first:
        with pytest.raises(schema.SchemaError):
            schema.migrate(first)
        with (
            connect(database_url, options="-c lock_timeout=5s -c statement_timeout=5s") as second,
            pytest.raises(schema.SchemaError),
        ):
            schema.migrate(second)
