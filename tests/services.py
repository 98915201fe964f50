"""Fixtures: real PostgreSQL and Redis, private to the test run."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from balancer.storage.postgresql import database, schema
from lab.services import PostgreSQL, Redis

_TEMPLATE = "bbb_fleet_template"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def services_directory() -> Iterator[Path]:
    """A path that is short enough for sockets and open to the server's user, unlike pytest's temporary directories."""
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def postgresql(services_directory: Path) -> Iterator[PostgreSQL]:
    """A running server with a template database that has the newest schema."""
    with PostgreSQL(services_directory / "pg").create().start() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        with database.connect(server.url(_TEMPLATE)) as migrating:
            schema.migrate(migrating)
        yield server


@pytest.fixture
def empty_database_url(postgresql: PostgreSQL) -> Iterator[str]:
    """A database without any table."""
    yield from _new_database(postgresql, "template0")


@pytest.fixture
def database_url(postgresql: PostgreSQL) -> Iterator[str]:
    """A database with the newest schema and no rows but the default tenant."""
    yield from _new_database(postgresql, _TEMPLATE)


def _new_database(server: PostgreSQL, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server(services_directory: Path) -> Iterator[Redis]:
    with Redis(services_directory / "redis").start() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    return redis_server.url()


@pytest.fixture
def own_postgresql(services_directory: Path) -> Iterator[PostgreSQL]:
    """A separate server, to be stopped, killed or made read-only; its postgres database has the schema."""
    with PostgreSQL(services_directory / f"pg{next(_numbers)}").create().start() as server:
        with database.connect(server.url()) as migrating:
            schema.migrate(migrating)
        yield server


@pytest.fixture
def own_redis(services_directory: Path) -> Iterator[Redis]:
    """A separate server, to be stopped or wiped."""
    with Redis(services_directory / f"redis{next(_numbers)}").start() as server:
        yield server
