"""The whole way of a request: the edge's nginx, gunicorn, the app, simulated nodes."""

import hashlib
import random
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.integration.web import edge as nginx
from tests.integration.web.cluster import NODE_SECRET, Cluster, path, sign
from tests.integration.web.server import Server, serving

#: Bytes by which a web worker's memory may grow, whatever passes through it.
ROOM = 30_000_000

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
        return self.raw(_head(target, label, f"Content-Length: {len(body)}", "Expect: 100-continue"), body)


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path) -> Iterator[Server]:
    """A gunicorn on the cluster's stores."""
    state = tmp_path / "web"
    state.mkdir()
    with serving(cluster.settings.database_url, cluster.settings.redis_url, state) as server:
        yield server


@pytest.fixture
def edge(server: Server, tmp_path: Path) -> Iterator[Client]:
    """In front of it."""
    with nginx.edge(f"127.0.0.1:{server.port}", tmp_path) as running:
        yield Client(running.origin)


def _head(target: str, label: str, *more: str) -> bytes:
    lines = (f"POST {target} HTTP/1.1", "Host: x", "Connection: close", f"Content-Type: {label}", *more)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


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
    for length in (70_000, *[100_000] * 20):  # answered while it is still being sent, and no reset overtakes that
        too_long = edge.get(_line("create", length, meetingID="course-2", name="Algebra"))
        assert too_long.startswith(b"HTTP/1.1 414 ")
        assert len(too_long) < 1000
    # What a browser is sent to: byte for byte, brackets and all.
    query = f"meetingID=course-1&fullName=A+B%20%c3%a9&role=VIEWER&userdata-x[y]=*'()!~&fill={'x' * 5000}"
    joined = edge.get(path("join", query).encode())
    target = f"{cluster.nodes[cluster.home('course-1')].url}join?{query}&checksum={sign('join', query, NODE_SECRET)}"
    assert f"\r\nLocation: {target}\r\n".encode() in joined


def _slides(length: int) -> bytes:
    """A document of so many bytes, no two parts of which are alike."""
    start, end = b"<modules><!--", b"\r\n\xc3\xa9--></modules>"
    middle = random.Random(1).randbytes(length // 2).hex().encode()
    return start + middle[: length - len(start) - len(end)] + end


def _peak(server: Server) -> int:
    """Bytes of the most memory that any worker ever had at once."""
    states = [Path(f"/proc/{pid}/status").read_text() for pid in server.workers()]
    return max(int(kilobytes) * 1024 for state in states for kilobytes in re.findall(r"VmHWM:\s+(\d+) kB", state))


def test_slides_of_the_full_limit_reach_the_second_node_byte_for_byte(
    edge: Client, server: Server, cluster: Cluster
) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "refuse", calls=["create"])
    slides, before = _slides(cluster.settings.body_limit_bytes), _peak(server)
    answer = edge.post(path("create", meetingID="course-1", name="Algebra"), slides, "text/xml; charset=utf-8")
    assert b"<returncode>SUCCESS</returncode>" in answer
    assert len(cluster.requests("bbb1", "create")) == 1
    (seen,) = cluster.requests("bbb2", "create")
    assert (seen.body_bytes, seen.body_sha256) == (len(slides), hashlib.sha256(slides).hexdigest())
    # It is sent from the disk, piece by piece.
    assert _peak(server) - before < ROOM


def test_one_byte_more_is_refused_by_the_edge_and_by_the_balancer_itself(
    edge: Client, server: Server, cluster: Cluster
) -> None:
    target, limit = path("create", meetingID="course-1", name="Algebra"), cluster.settings.body_limit_bytes
    slides, before = _slides(limit + 1), _peak(server)
    headers = {"Content-Type": "text/xml"}
    assert requests.post(edge.origin + target, data=slides, headers=headers, timeout=30).status_code == 413
    balancer, chunked = Client(server.origin), b"%x\r\n%b\r\n0\r\n\r\n" % (len(slides), slides)
    for answer in (
        balancer.raw(_head(target, "text/xml", f"Content-Length: {len(slides)}")),
        balancer.raw(_head(target, "text/xml", "Transfer-Encoding: chunked", "Expect: 100-continue"), chunked),
    ):
        assert b"<messageKey>validationError</messageKey>" in answer
        assert f"The request body is longer than {limit} bytes".encode() in answer
    assert _peak(server) - before < ROOM
    assert cluster.rows("course-1") == []
