"""A client as web workers have it, and its calls to a peer."""

from pathlib import Path

from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.nodes.client import IDLE, NodeClient
from balancer.nodes.waiting_limits import NodeLimits
from balancer.settings import Settings


def make(tmp_path: Path, *, limits: NodeLimits | None = None, idle: float = IDLE, **given: object) -> NodeClient:
    values: dict[str, object] = {
        "database_url": "x",
        "redis_url": "x",
        "secrets": ("x" * 16,),
        "public_url": "https://bbb.example.org",
        "state_directory": tmp_path,
        "node_connect_timeout": 1.0,
        "node_read_timeout": 1.0,
        "node_info_timeout": 1.0,
        "create_timeout": 1.5,
    }
    return NodeClient(Settings(**{**values, **given}), limits=limits, idle=idle)  # type: ignore[arg-type]


def node(port: int, scheme: str = "http", host: str = "127.0.0.1") -> Node:
    return Node(
        id=1,
        name="bbb1",
        url=f"{scheme}://{host}:{port}/bigbluebutton/api/",
        secret="secret-of-the-node",
        admin_state=AdminState.ENABLED,
    )


def call(client: NodeClient, port: int, query: bytes = b"meetingID=x") -> None:
    assert client.call(node(port), "getMeetingInfo", Parameters.parse(query)).success
