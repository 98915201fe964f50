"""Connections to the real stores of this test."""

from collections.abc import Iterator

import pytest

from balancer.storage import cache
from balancer.storage.database import Database


@pytest.fixture
def client(redis_url: str) -> Iterator[cache.Redis]:
    with cache.connect(redis_url) as client:
        yield client


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, application_name="test", size=4)
    database.open()
    yield database
    database.close()
