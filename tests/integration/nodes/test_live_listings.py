"""Live lists of more nodes than are asked at the same time."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.nodes.client import NodeClient
from balancer.nodes.live_listings import LiveListings
from balancer.nodes.waiting_limits import FAILURES
from balancer.settings import Settings
from tests.integration.nodes.scripted_node import Peer, answer
from tests.integration.settings import settings_for

_CONCURRENCY = 4


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for("x", "x", tmp_path, node_info_timeout="1")


@pytest.fixture
def client(settings: Settings) -> Iterator[NodeClient]:
    client = NodeClient(settings)
    yield client
    client.close()


@pytest.fixture
def slow() -> Iterator[Peer]:
    """Nodes that answer shortly before the deadline."""
    yield from answering_after(0.8)


@pytest.fixture
def busy() -> Iterator[Peer]:
    """A node that needs more time than the slow ones leave it."""
    yield from answering_after(0.4)


def answering_after(seconds: float) -> Iterator[Peer]:
    def script(connection: socket.socket, _: bytes) -> None:
        time.sleep(seconds)
        connection.sendall(answer())

    peer = Peer(script)
    yield peer
    peer.close()


def node(number: int, peer: Peer) -> Node:
    url = f"http://127.0.0.1:{peer.port}/bbb{number}/bigbluebutton/api/"
    return Node(id=number, name=f"bbb{number}", url=url, secret="x" * 16, admin_state=AdminState.ENABLED)


def test_a_node_is_not_blamed_for_the_time_that_others_used_up(
    settings: Settings, client: NodeClient, slow: Peer, busy: Peer
) -> None:
    last = node(_CONCURRENCY, busy)
    nodes = [*(node(number, slow) for number in range(_CONCURRENCY)), last]
    listing = LiveListings(settings, client, concurrency=_CONCURRENCY)
    try:
        for _ in range(FAILURES):
            assert last.id not in listing.parts(nodes, lambda: datetime.now(UTC))
        # Otherwise its circuit would be open now.
        assert client.call(last, "getMeetingInfo", Parameters()).success
        assert last.id in listing.parts([last], lambda: datetime.now(UTC))
    finally:
        listing.close()
