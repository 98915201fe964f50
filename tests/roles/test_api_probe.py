"""bbb_api_probe on simulated nodes, with and without problems."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab.simulator.node import Node
from lab.simulator.server import NodeServer
from lab.simulator.settings import NodeSettings

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "modules" / "bbb_api_probe.py"
spec = importlib.util.spec_from_file_location("bbb_api_probe", PLUGIN)
assert spec
assert spec.loader
bbb_api_probe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bbb_api_probe)

SECRET = "Qm3xT8vLp2Wd9KfR6hZs"


async def started(**settings: Any) -> NodeServer:
    """A simulated node on loopback."""
    server = NodeServer(Node(NodeSettings(server_url="http://127.0.0.1", secret=SECRET, **settings)), "127.0.0.1", 0)
    await server.start()
    return server


@pytest.fixture
async def node() -> AsyncIterator[NodeServer]:
    """A node without problems."""
    server = await started()
    yield server
    await server.stop()


async def probe(port: int, secret: str = SECRET, path: str = "/bigbluebutton/api") -> dict[str, Any]:
    """The module's result. It runs in a thread because it blocks."""
    asked = bbb_api_probe.Node(f"http://127.0.0.1:{port}{path}", "", 5.0)
    return dict(await asyncio.to_thread(bbb_api_probe.probe, asked, secret))


async def test_a_node_accepts_every_checksum_algorithm(node: NodeServer) -> None:
    found = await probe(node.port)
    assert (found["problem"], found["algorithms"]) == ("", ["sha1", "sha256", "sha384", "sha512"])
    assert found["version"] == "2.0"
    assert abs(found["clock_offset"]) < 2


async def test_the_algorithms_that_a_node_accepts_are_found() -> None:
    server = await started(algorithms=("sha256", "sha512"))
    try:
        assert (await probe(server.port))["algorithms"] == ["sha256", "sha512"]
    finally:
        await server.stop()


async def test_a_wrong_secret_is_reported(node: NodeServer) -> None:
    assert (await probe(node.port, secret="not-the-secret"))["problem"] == "checksum"


async def test_a_wrong_path_is_reported(node: NodeServer) -> None:
    assert (await probe(node.port, path="/elsewhere"))["problem"] in ("http", "xml")


async def test_a_missing_node_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert (await probe(port))["problem"] == "connect"


async def test_an_unknown_name_is_reported() -> None:
    asked = bbb_api_probe.Node("https://nowhere.invalid/bigbluebutton/api", "", 5.0)
    assert (await asyncio.to_thread(bbb_api_probe.probe, asked, SECRET))["problem"] == "dns"


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (502, b"<html>Bad gateway</html>", "http"),
        (200, b"<!DOCTYPE html><html></html>", "xml"),
        (200, b"<response><returncode>SUCC", "xml"),
        (200, b'<!DOCTYPE x [<!ENTITY a "b">]><response/>', "xml"),
    ],
)
def test_an_unexpected_answer_is_reported(status: int, body: bytes, problem: str) -> None:
    with pytest.raises(bbb_api_probe.ProbeError) as raised:
        bbb_api_probe.parse(status, body)
    assert raised.value.args[0] == problem
