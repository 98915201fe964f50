"""Connections of a test's own to the stores of this test."""

from collections.abc import Iterator

import pytest

from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.redis import client as redis_client


@pytest.fixture
def rows(database_url: str) -> Iterator[Connection]:
    """A connection that reads and changes rows without a transaction."""
    with connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def client(redis_url: str) -> Iterator[redis_client.Redis]:
    with redis_client.connect(redis_url) as client:
        yield client


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, application_name="test", size=4)
    database.open()
    yield database
    database.close()
