"""Fixtures: nodes on loopback, separate ones for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.simulator.bbb_releases import PROFILES
from lab.simulator.node import Node
from lab.simulator.server import NodeServer
from lab.simulator.settings import NodeSettings
from tests.simulator.front_end import SECRET, FrontEnd

StartNode = Callable[..., Awaitable[FrontEnd]]


@pytest.fixture
async def start_node(tmp_path: Path) -> AsyncIterator[StartNode]:
    """Starts nodes with the given settings (`profile` by its name), by default with short timers."""
    servers: list[NodeServer] = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def start(**changes: Any) -> FrontEnd:
            settings = {"server_url": "http://127.0.0.1", "secret": SECRET, "root": tmp_path, "end_delay": 0.1}
            profile = PROFILES[changes.pop("profile", "3.0")]
            node = Node(NodeSettings(**settings | {"profile": profile} | changes))
            server = NodeServer(node, "127.0.0.1", 0)
            await server.start()
            servers.append(server)
            front = FrontEnd(session, f"http://127.0.0.1:{server.port}")
            if "server_url" not in changes:
                await front.control("POST", "/settings", server_url=front.base)
            return front

        yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def front(start_node: StartNode) -> FrontEnd:
    return await start_node()
