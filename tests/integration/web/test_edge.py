"""The whole way of a request: the edge's nginx, gunicorn, the app, simulated nodes."""

import hashlib
import random
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.web import edge as nginx
from tests.integration.web.cluster import NODE_SECRET, Cluster, path, sign
from tests.integration.web.server import serving

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed: see bin/packages")


@dataclass(frozen=True)
class Client:
    """Sends what no client library would."""

    origin: str

    def raw(self, head: bytes, body: bytes = b"") -> bytes:
        """The whole answer to these very bytes; a body is sent once the edge has said that it wants it."""
        address = urlsplit(self.origin)
        assert address.hostname
        with socket.create_connection((address.hostname, address.port or 80), timeout=30) as connection:
            connection.sendall(head)
            answer = b""
            if body:
                assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
                connection.sendall(body)
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def get(self, target: bytes) -> bytes:
        return self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def post(self, target: str, body: bytes, label: str) -> bytes:
        head = (
            f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
            f"Content-Type: {label}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return self.raw(head.encode(), body)


@pytest.fixture
def edge(cluster: Cluster, tmp_path: Path) -> Iterator[Client]:
    """In front of a gunicorn on the cluster's stores."""
    state = tmp_path / "web"
    state.mkdir()
    with (
        serving(cluster.settings.database_url, cluster.settings.redis_url, state) as server,
        nginx.edge(f"127.0.0.1:{server.port}", tmp_path) as running,
    ):
        yield Client(running.origin)


def _line(call: str, length: int, **parameters: str) -> bytes:
    """The target of a signed call whose whole request line has this many bytes."""
    around = len("GET  HTTP/1.1\r\n") + len(path(call, **parameters, fill=""))
    return path(call, **parameters, fill="x" * (length - around)).encode()


def _takes_every_shape_of_a_path(edge: Client) -> None:
    target = path("getMeetings", "a[b]=é&&c=%c3%a9")
    for shape in (
        target,
        target.replace("?", "/?"),
        target.replace("/bigbluebutton", ""),
        target.replace("/api/", "/"),
        target.replace("/", "//"),
        target.replace("/api/", "api/"),
    ):
        assert b"<messageKey>noMeetings</messageKey>" in edge.get(shape.encode()), shape


def test_long_request_lines_and_odd_ones(edge: Client, cluster: Cluster) -> None:
    _takes_every_shape_of_a_path(edge)
    created = edge.get(_line("create", 65_500, meetingID="course-1", name="Algebra"))
    assert b"<returncode>SUCCESS</returncode>" in created
    (seen,) = cluster.requests(cluster.home("course-1"), "create")
    assert seen.method == "POST"
    long_join = edge.get(_line("join", 65_500, meetingID="course-1", fullName="Ann", redirect="false"))
    assert long_join.startswith(b"HTTP/1.1 200 ")
    assert b"The join link is too long for the server" in long_join
    too_long = edge.get(_line("create", 70_000, meetingID="course-2", name="Algebra"))
    assert too_long.startswith(b"HTTP/1.1 414 ")
    assert len(too_long) < 1000
    # What a browser is sent to: byte for byte, brackets and all.
    query = f"meetingID=course-1&fullName=A+B%20%c3%a9&role=VIEWER&userdata-x[y]=*'()!~&fill={'x' * 5000}"
    joined = edge.get(path("join", query).encode())
    target = f"{cluster.nodes[cluster.home('course-1')].url}join?{query}&checksum={sign('join', query, NODE_SECRET)}"
    assert f"\r\nLocation: {target}\r\n".encode() in joined


def test_slides_of_many_megabytes_reach_the_second_node_byte_for_byte(edge: Client, cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "error", calls=["create"])
    slides = b"<modules><!--" + random.Random(1).randbytes(10_000_000).hex().encode() + b"\r\n\xc3\xa9--></modules>"
    answer = edge.post(path("create", meetingID="course-1", name="Algebra"), slides, "text/xml; charset=utf-8")
    assert b"<returncode>SUCCESS</returncode>" in answer
    (seen,) = cluster.requests("bbb2", "create")
    assert seen.body_sha256 == hashlib.sha256(slides).hexdigest()
