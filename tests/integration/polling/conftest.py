"""A fleet of simulated nodes, registered in a real PostgreSQL, and a poller of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from balancer.settings import Settings, load
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis import client as redis_client
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import PollRounds, opened

#: Seconds. Long enough for a busy machine, short enough for a hung node.
POLL_TIMEOUT = 2.0


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return load(
        {
            "BALANCER_ENV_FILE": "/dev/null",
            "BALANCER_DATABASE_URL": database_url,
            "BALANCER_REDIS_URL": redis_url,
            "BALANCER_SECRETS": "front-end-secret-0123456789",
            "BALANCER_PUBLIC_URL": "https://bbb.example.org",
            "BALANCER_POLL_TIMEOUT": str(POLL_TIMEOUT),
            "BALANCER_NODE_CONNECT_TIMEOUT": "1",
            "BALANCER_LOG_LEVEL": "error",
        }
    )


@pytest.fixture
async def fleet(rows: Connection, client: redis_client.Redis, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        fleet = Fleet(rows, client, session, tmp_path)
        yield fleet
        for server in fleet.servers.values():
            await server.stop()


@pytest.fixture
async def poller(settings: Settings) -> AsyncIterator[PollRounds]:
    async with opened(settings) as poller:
        yield poller
