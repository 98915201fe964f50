"""The chain of migrations: equal to the stored schema, safe to repeat and to race, and honest about the future."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from balancer.core.nodes import AdminState, ObservedState
from balancer.core.recordings import Query
from balancer.storage.postgresql import nodes, recordings, schema
from balancer.storage.postgresql.database import connect
from balancer.storage.postgresql.recording_counts import RecordingCounts
from tools import schema_dump

NAMES = [migration.name for migration in schema.migrations()]


def test_names_are_numbered_without_gap_and_say_when_they_may_run() -> None:
    for number, name in enumerate(NAMES, 1):
        assert name.startswith((f"{number:04}_pre_", f"{number:04}_post_")), name


def test_the_stored_schema_is_what_the_migrations_make(database_url: str, empty_database_url: str) -> None:
    stored = schema_dump.TARGET.read_text(encoding="utf-8")
    from_chain = schema_dump.dump(database_url)
    assert stored.split("\n\n", 1)[1] == from_chain, "run `python -m tools.schema_dump --write`"
    # And it is not merely the same text: a database made of it is the same.
    with connect(empty_database_url) as connection:
        connection.execute(stored.encode())
    assert schema_dump.dump(empty_database_url) == from_chain


def test_a_column_that_no_migration_makes_is_found(database_url: str) -> None:
    before = schema_dump.dump(database_url)
    with connect(database_url) as connection:
        connection.execute("ALTER TABLE nodes ADD COLUMN planted text")
    assert schema_dump.dump(database_url) != before


def test_a_second_run_does_nothing(empty_database_url: str) -> None:
    with connect(empty_database_url) as connection:
        assert schema.migrate(connection) == NAMES
        before = schema_dump.dump(empty_database_url)
        assert schema.migrate(connection) == []
        assert schema.pending(connection) == []
        assert schema.applied(connection) == NAMES
    assert schema_dump.dump(empty_database_url) == before


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


def test_a_process_killed_in_the_middle_leaves_whole_migrations(empty_database_url: str) -> None:
    """The lock and the open transaction end with the connection, and the next run goes on where it stopped."""
    script = """
import sys
from balancer.storage import database, schema
real = schema.migrations
def broken():
    first, *rest = real()
    return [first, schema.Migration(rest[0].name, rest[0].sql + "; SELECT pg_sleep(60)"), *rest[1:]]
schema.migrations = broken
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


def test_a_migration_that_fails_leaves_nothing_of_itself(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = schema.migrations()
    bad = schema.Migration("9998_pre_bad", "CREATE TABLE half (id int); SELECT 1 / 0")
    monkeypatch.setattr(schema, "migrations", lambda: [*good, bad])
    with connect(empty_database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            schema.migrate(connection)
        assert schema.applied(connection) == NAMES
        assert [migration.name for migration in schema.pending(connection)] == ["9998_pre_bad"]
        gone = connection.execute("SELECT to_regclass('half') IS NULL AS gone").fetchone()
        assert gone == {"gone": True}


#: As releases before migration 0013 place a meeting.
_PLACE_BEFORE_0013 = """
SELECT row_id, chosen_score
FROM place_meeting(1, %s, false, null, 10, null, '{}', (
    SELECT json_build_object('late', '[]'::json, 'nodes', json_agg(json_build_object(
        'id', id, 'rank', 0, 'changed', changed_at, 'state', 'online', 'poll', now(), 'people', 0, 'video', 0,
        'meetings', 0
    )))
    FROM nodes
), true)
"""


def test_the_release_before_places_meetings_while_migrations_run(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply(empty_database_url, monkeypatch, until="0012")
    with connect(empty_database_url) as connection:
        node = nodes.Declaration(name="bbb1", url="https://bbb1/", secret="a-secret")
        known = nodes.add(connection, node, AdminState.ENABLED)
        nodes.observe(connection, known.id, ObservedState.ONLINE, reason="", bbb_version="", digests=(), fencing=1)
        connection.execute(
            "INSERT INTO meetings (tenant_id, meeting_id, node_name, state, expected_users, finished_at)"
            " SELECT 1, 'old-' || number, 'bbb1', 'ended', 1, now() FROM generate_series(1, 200000) AS number"
        )
    begun, stopping = threading.Barrier(5, timeout=30), threading.Event()

    def place(name: str) -> int:
        """Place meetings until the migrations are through; how many."""
        placed = 0
        with connect(empty_database_url, autocommit=True) as connection:
            while not stopping.is_set():
                row = connection.execute(_PLACE_BEFORE_0013, [f"{name}-{placed}"]).fetchone()
                assert row is not None
                assert row["row_id"] is not None
                placed += 1
                if placed == 1:
                    begun.wait()
        return placed

    with ThreadPoolExecutor(4) as pool:
        placing = [pool.submit(place, f"new-{number}") for number in range(4)]
        begun.wait()
        try:
            with connect(empty_database_url) as connection:
                schema.migrate(connection)
        finally:
            stopping.set()
        # The second one at the latest had to wait, within the function, for an index to be built.
        assert all(each.result() > 1 for each in placing)


def _apply(url: str, monkeypatch: pytest.MonkeyPatch, until: str) -> list[str]:
    """All migrations up to the one whose number that is."""
    some = [migration for migration in schema.migrations() if migration.name < f"{until}_z"]
    with monkeypatch.context() as shortened, connect(url) as connection:
        shortened.setattr(schema, "migrations", lambda: some)
        return schema.migrate(connection)


def test_totals_and_lists_outlive_the_new_ledger(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _apply(empty_database_url, monkeypatch, "0006")[-1].startswith("0006")
    with connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state)"
            " SELECT 'ab-' || n, 1, 'm', 'n', 'published' FROM generate_series(1, 3) AS n"
        )
        connection.commit()
        schema.migrate(connection)
        counts = RecordingCounts()
        assert recordings.search(connection, 1, Query(limit=2), counts).total == 3
        assert recordings.change_state(connection, 1, ["ab-1"], "deleted") == 1
        assert recordings.search(connection, 1, Query(limit=2), counts).total == 2


def test_an_index_is_not_dropped_while_somebody_reads_for_long(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply(empty_database_url, monkeypatch, "0007")
    with connect(empty_database_url) as reading, connect(empty_database_url) as connection:
        reading.execute("SELECT FROM recordings")
        with pytest.raises(
            schema.SchemaError, match=r"^0008_pre_drop_recordings_newest was not applied: .* run it again"
        ):
            schema.migrate(connection)
        assert schema.applied(connection)[-1].startswith("0007")
        connection.rollback()
        reading.rollback()
        assert schema.migrate(connection)[0].startswith("0008")


@pytest.fixture
def newer(database_url: str) -> str:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO schema_migrations (name) VALUES ('9999_post_future')")
    return database_url


def test_a_newer_database_is_refused_and_left_alone(newer: str) -> None:
    before = schema_dump.dump(newer)
    with connect(newer) as connection:
        for act in (schema.pending, schema.migrate):
            with pytest.raises(schema.SchemaError, match="newer release: 9999_post_future"):
                act(connection)
            connection.rollback()
    assert schema_dump.dump(newer) == before


def test_the_lock_is_free_after_a_refusal(newer: str) -> None:
    with connect(newer) as first:
        with pytest.raises(schema.SchemaError):
            schema.migrate(first)
        with (
            connect(newer, options="-c lock_timeout=5s -c statement_timeout=5s") as second,
            pytest.raises(schema.SchemaError),
        ):
            schema.migrate(second)
