"""PostgreSQL away, and back: nobody waits for long, and nobody has to be restarted."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg.errors
import pytest

from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql import database as database_module
from balancer.storage.postgresql.database import Database, committing, connect


@pytest.fixture
def database(own_postgresql: Any) -> Iterator[Database]:
    database = Database(own_postgresql.url(), application_name="test", size=2)
    database.open()
    database.check()
    yield database
    database.close()


def seconds_to_fail(database: Database) -> float:
    before = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="PostgreSQL"):
        database.check()
    return time.monotonic() - before


def until_back(database: Database, within: float) -> None:
    began = time.monotonic()
    while True:
        try:
            database.check()
            return
        except StorageUnavailableError:
            assert time.monotonic() - began < within
            time.sleep(0.1)


def test_an_outage_is_told_soon_and_ends_soon(own_postgresql: Any, database: Database) -> None:
    own_postgresql.stop()
    end = time.monotonic() + 12
    waits = []
    while time.monotonic() < end:
        waits.append(seconds_to_fail(database))
        time.sleep(0.1)  # requests that come in one by one
    assert max(waits) < 5
    # While it is known to be away nobody waits at all.
    assert sum(wait < 0.1 for wait in waits) >= 10, waits
    own_postgresql.start()
    until_back(database, 6)


def test_a_connection_that_the_server_closed_a_moment_ago_fails_nobody(own_postgresql: Any, database: Database) -> None:
    for _ in range(3):
        with database.transaction() as connection:
            used = connection.info.backend_pid
        with psycopg.connect(own_postgresql.url()) as operator:
            operator.execute("SELECT pg_terminate_backend(%s, 5000)", (used,))
        database.check()


def test_a_server_that_hangs_is_not_waited_for(own_postgresql: Any) -> None:
    impatient = Database(own_postgresql.url(), application_name="test", size=2, patience=1)
    impatient.open()
    try:
        impatient.check()
        with own_postgresql.hanging():
            waits = [seconds_to_fail(impatient) for _ in range(4)]
        assert max(waits) < 5, waits
        # What follows the first is refused at once.
        assert sum(wait < 0.1 for wait in waits) >= 2, waits
        until_back(impatient, 8)
    finally:
        impatient.close()


def test_where_all_connections_are_held_one_waits_and_the_next_are_refused(
    own_postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "POOL_TIMEOUT", 0.5)
    small = Database(own_postgresql.url(), application_name="test", size=1)
    small.open()
    try:
        with small.single():
            waits = [seconds_to_fail(small) for _ in range(3)]
        assert waits[0] > 0.4
        assert max(waits[1:]) < 0.1, waits
        until_back(small, 6)
    finally:
        small.close()


def test_a_connection_that_is_idle_for_long_is_not_waited_for_either(own_postgresql: Any) -> None:
    impatient = Database(own_postgresql.url(), application_name="test", size=1, patience=1)
    impatient.open()
    try:
        with impatient.single() as connection:
            connection.execute("SELECT 1")
        connection.used = float("-inf")
        with own_postgresql.hanging():
            assert seconds_to_fail(impatient) < 5
    finally:
        impatient.close()


def test_a_host_that_vanished_is_not_waited_for(own_postgresql: Any, database: Database) -> None:
    with database.single() as pooled, connect(own_postgresql.url()) as alone:
        for connection in (pooled, alone):
            given = connection.info.get_parameters()
            # Of a query under way, and of a connection at rest: only the kernel can tell that nobody is there any more.
            assert int(given["tcp_user_timeout"]) <= 10_000
            assert (
                int(given["keepalives_idle"]) + int(given["keepalives_interval"]) * int(given["keepalives_count"]) <= 15
            )


def write_where_only_reading_is_allowed(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("INSERT INTO tenants (name) VALUES ('x')")


def test_a_server_that_only_reads_is_told_as_one_that_is_away(database: Database) -> None:
    with pytest.raises(StorageUnavailableError, match="ReadOnly"):
        write_where_only_reading_is_allowed(database)


def test_no_query_is_compiled_or_made_parallel(database: Database) -> None:
    names = ("jit", "max_parallel_workers_per_gather")
    with database.single() as connection:
        found = connection.execute(
            "SELECT current_setting(%s) AS compiled, current_setting(%s) AS workers", names
        ).fetchone()
    assert found == {"compiled": "off", "workers": "0"}


def test_a_mistake_of_ours_is_not_hidden(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), database.transaction() as connection:
        connection.execute("SELECT 1 FROM nowhere")


def create_table(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        connection.execute("CREATE TABLE made (number int PRIMARY KEY)")
        with committing(connection):
            for statement in statements:
                connection.execute(statement)


def test_what_is_sent_with_its_commit_is_there_with_its_results(database: Database) -> None:
    with database.transaction() as connection:
        with committing(connection):
            found = connection.execute("SELECT 1 AS number")
        assert found.fetchall() == [{"number": 1}]
    create_table(database, "INSERT INTO made VALUES (1)")
    with database.single() as connection:
        assert connection.execute("SELECT * FROM made").rowcount == 1


def test_a_statement_that_fails_beside_its_commit_fails_as_itself_and_undoes_all(database: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        create_table(database, "INSERT INTO made VALUES (1), (1)", "INSERT INTO made VALUES (2)")
    with pytest.raises(psycopg.errors.UndefinedTable), database.single() as connection:
        connection.execute("SELECT * FROM made")
