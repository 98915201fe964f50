"""PostgreSQL goes away and comes back: no caller waits for long, and no process needs a restart."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psycopg.errors
import pytest

from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql import database as database_module
from balancer.storage.postgresql.database import Database, connect


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


def test_an_outage_is_reported_soon_and_ends_soon(own_postgresql: Any, database: Database) -> None:
    own_postgresql.stop()
    end = time.monotonic() + 12
    waits = []
    while time.monotonic() < end:
        waits.append(seconds_to_fail(database))
        time.sleep(0.1)  # requests arrive one by one
    assert max(waits) < 5
    # Once it is known to be away, callers fail at once.
    assert sum(wait < 0.1 for wait in waits) >= 10, waits
    own_postgresql.start()
    until_back(database, 6)


def test_connections_closed_by_the_server_fail_no_request(own_postgresql: Any, database: Database) -> None:
    for _ in range(3):
        with database.transaction() as connection:
            used = connection.info.backend_pid
        with psycopg.connect(own_postgresql.url()) as operator:
            operator.execute("SELECT pg_terminate_backend(%s, 5000)", (used,))
        database.check()


@contextmanager
def limited(own_postgresql: Any, size: int) -> Iterator[Database]:
    """A database whose blocks may take one second."""
    database = Database(own_postgresql.url(), application_name="test", size=size, time_limit=1)
    database.open()
    database.check()
    yield database
    database.close()


def test_a_hanging_server_costs_one_caller_the_time_limit(own_postgresql: Any) -> None:
    with limited(own_postgresql, 2) as database:
        with own_postgresql.hanging():
            waits = [seconds_to_fail(database) for _ in range(4)]
        assert max(waits) < 5, waits
        # The callers after the first one fail at once.
        assert sum(wait < 0.1 for wait in waits) >= 2, waits
        until_back(database, 8)


def closed_by_a_timeout(database: Database, *, pipelined: bool) -> bool:
    """Whether a connection is closed as soon as a statement on it has timed out."""
    with suppress(StorageUnavailableError), database.transaction() as connection:
        try:
            with connection.pipeline() if pipelined else nullcontext():
                connection.execute("SELECT 1")
        finally:
            closed = connection.closed
    return closed


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_connection_whose_time_is_up_is_closed(own_postgresql: Any, pipelined: bool) -> None:
    """A late answer would be taken for that of the next statement."""
    with limited(own_postgresql, 1) as database:
        with own_postgresql.hanging():
            assert closed_by_a_timeout(database, pipelined=pipelined)
        until_back(database, 8)


def test_a_block_within_its_time_limit_leaves_none_behind(own_postgresql: Any) -> None:
    with limited(own_postgresql, 1) as database:
        with database.single() as connection:
            assert connection.deadline < math.inf
        assert connection.deadline == math.inf


@pytest.fixture
def small(own_postgresql: Any) -> Iterator[Database]:
    """A database of one connection, for which callers wait half a second, with blocks of one second."""
    small = Database(own_postgresql.url(), application_name="test", size=1, time_limit=1, pool_timeout=0.5)
    small.open()
    small.check()
    yield small
    small.close()


def test_if_all_connections_are_busy_one_caller_waits_and_the_next_fail_at_once(small: Database) -> None:
    with small.single():
        waits = [seconds_to_fail(small) for _ in range(3)]
    assert waits[0] > 0.4
    assert max(waits[1:]) < 0.1, waits
    until_back(small, 6)


def test_after_a_pause_one_caller_tries_again_and_the_others_fail_at_once(small: Database) -> None:
    with small.single(), ThreadPoolExecutor(8) as callers:
        seconds_to_fail(small)
        time.sleep(database_module.PAUSE)
        waits = [each.result() for each in [callers.submit(seconds_to_fail, small) for _ in range(8)]]
    assert sum(wait > 0.4 for wait in waits) == 1, waits


def test_the_next_try_asks_the_server_even_if_the_connection_was_just_used(
    own_postgresql: Any, small: Database
) -> None:
    with small.single():
        seconds_to_fail(small)
    time.sleep(database_module.PAUSE)
    with own_postgresql.hanging(), ThreadPoolExecutor(8) as callers:
        waits = [each.result() for each in [callers.submit(seconds_to_fail, small) for _ in range(8)]]
    assert sum(wait > 0.4 for wait in waits) == 1, waits


def test_the_test_of_an_idle_connection_has_a_time_limit_too(own_postgresql: Any) -> None:
    with limited(own_postgresql, 1) as database:
        with database.single() as connection:
            connection.execute("SELECT 1")
        connection.last_used = -math.inf
        with own_postgresql.hanging():
            assert seconds_to_fail(database) < 5


def test_the_kernel_notices_a_host_that_vanished(own_postgresql: Any, database: Database) -> None:
    with database.single() as pooled, connect(own_postgresql.url()) as alone:
        for connection in (pooled, alone):
            given = connection.info.get_parameters()
            # During a query, and on an idle connection.
            assert int(given["tcp_user_timeout"]) <= 10_000
            assert (
                int(given["keepalives_idle"]) + int(given["keepalives_interval"]) * int(given["keepalives_count"]) <= 15
            )


def write_in_a_read_only_transaction(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("INSERT INTO tenants (name) VALUES ('x')")


def test_a_read_only_server_counts_as_away(database: Database) -> None:
    with pytest.raises(StorageUnavailableError, match="ReadOnly"):
        write_in_a_read_only_transaction(database)


def test_queries_are_neither_compiled_nor_parallel(database: Database) -> None:
    names = ("jit", "max_parallel_workers_per_gather")
    with database.single() as connection:
        found = connection.execute(
            "SELECT current_setting(%s) AS compiled, current_setting(%s) AS workers", names
        ).fetchone()
    assert found == {"compiled": "off", "workers": "0"}


def test_our_own_mistakes_are_not_hidden(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), database.transaction() as connection:
        connection.execute("SELECT 1 FROM nowhere")
