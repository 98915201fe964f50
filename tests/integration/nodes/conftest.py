"""A peer, and a client that may call it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from balancer.nodes.client import NodeClient
from tests.integration.nodes.client import make
from tests.integration.nodes.scripted_node import Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[NodeClient]:
    client = make(tmp_path)
    yield client
    client.close()
