"""Statements that libpq sends by itself: values, errors and transactions are as with psycopg's own cursors."""

from collections.abc import Iterator

import psycopg
import psycopg.errors
import pytest

from balancer.storage.postgresql.database import Connection, connect
from balancer.storage.postgresql.prepared import Prepared

ECHO = Prepared(
    "echo",
    "SELECT %(text)s::text AS text, %(number)s::bigint, %(real)s::float8, %(yes)s::boolean, %(nothing)s::text,"
    " upper(%(text)s)",
)
ADD = Prepared("add", "INSERT INTO drawer (name) SELECT unnest(%(names)s::text[])")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        connection.execute("CREATE TEMPORARY TABLE drawer (name text UNIQUE)")
        connection.commit()
        yield connection


def count(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) AS count FROM drawer").fetchone()
    return int(row["count"]) if row else -1


@pytest.mark.parametrize("text", ["a", "", "'; --", "%(number)s $1", "ä😀", "a\\b\n"])
def test_values_come_back_as_they_went(connection: Connection, text: str) -> None:
    for _ in range(2):
        row = ECHO.row(connection, {"text": text, "number": 2**62, "real": 0.1, "yes": True, "nothing": None})
        assert row == [text, str(2**62), "0.1", "t", None, text.upper()]


def test_a_nul_is_refused_instead_of_ending_the_text(connection: Connection) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        ECHO.row(connection, {"text": "a\0b", "number": 1, "real": 1, "yes": False, "nothing": None})


def test_it_tells_how_many_rows_changed(connection: Connection) -> None:
    assert ADD.changed(connection, {"names": "{a,b}"}) == 2
    assert ADD.changed(connection, {"names": "{}"}) == 0


def test_outside_autocommit_it_is_part_of_a_transaction(connection: Connection) -> None:
    ADD.changed(connection, {"names": "{a}"})
    connection.rollback()
    assert count(connection) == 0
    ADD.changed(connection, {"names": "{a}"})
    connection.commit()
    assert count(connection) == 1


def test_it_goes_on_after_psycopg_dropped_what_was_prepared(connection: Connection) -> None:
    connection.autocommit = True
    ADD.changed(connection, {"names": "{a}"})
    connection.autocommit = False
    for _ in range(10):  # until psycopg prepares it itself
        assert count(connection) == 1
    connection.rollback()
    ADD.changed(connection, {"names": "{b}"})
    connection.commit()
    connection.autocommit = True
    assert ADD.changed(connection, {"names": "{c}"}) == 1
    assert count(connection) == 3


def test_an_error_is_psycopg_s_and_the_connection_goes_on(connection: Connection) -> None:
    connection.autocommit = True
    ADD.changed(connection, {"names": "{a}"})
    with pytest.raises(psycopg.errors.UniqueViolation, match="drawer"):
        ADD.changed(connection, {"names": "{a}"})
    assert ADD.changed(connection, {"names": "{b}"}) == 1


def test_a_server_that_goes_away_is_an_operational_error(connection: Connection, database_url: str) -> None:
    connection.autocommit = True
    ADD.changed(connection, {"names": "{a}"})
    with connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        ADD.changed(connection, {"names": "{b}"})
    assert connection.closed
