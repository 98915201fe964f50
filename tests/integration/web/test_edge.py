"""The whole way of a request: the edge's nginx with its real configuration, gunicorn, the app, simulated nodes."""

import hashlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.sandbox import free_ports
from lab.services import Process
from tests.integration.web.cluster import NODE_SECRET, Cluster, path, sign
from tests.integration.web.server import serving

PROJECT = Path(__file__).parents[3]
ROLE = PROJECT / "roles/nginx"
NAME = "bbb.example.org"
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml", "{role}/vars/main.yml"]
  tasks:
    - ansible.builtin.template:
        src: "{role}/templates/etc/nginx/nginx.conf.j2"
        dest: "{root}/nginx.conf"
"""
pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed: see bin/packages")


@dataclass(frozen=True)
class Edge:
    """A running nginx, reached over TLS."""

    port: int
    certificate: Path

    def raw(self, head: bytes, body: bytes = b"") -> bytes:
        """The whole answer to these very bytes; a body is sent once the edge has said that it wants it."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as connection,
        ):
            connection.sendall(head)
            answer = connection.recv(65536)
            if body:
                assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
                connection.sendall(body)
                answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def get(self, target: bytes) -> bytes:
        return self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\nConnection: close\r\n\r\n")

    def post(self, target: str, body: bytes, label: str) -> bytes:
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\nExpect: 100-continue\r\n"
            f"Content-Type: {label}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return self.raw(head.encode(), body)


@pytest.fixture
def edge(cluster: Cluster, tmp_path: Path) -> Iterator[Edge]:
    """In front of a gunicorn on the cluster's stores."""
    state = tmp_path / "web"
    state.mkdir()
    with (
        serving(cluster.settings.database_url, cluster.settings.redis_url, state) as server,
        _nginx(tmp_path, f"127.0.0.1:{server.port}") as edge,
    ):
        yield edge


@contextmanager
def _nginx(root: Path, upstream: str) -> Iterator[Edge]:
    certificate, key = root / "certificate.pem", root / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    out = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*request, *subject, *out], check=True, capture_output=True)
    ports = free_ports(2)
    configuration = root / "nginx.conf"
    _render(root, upstream, certificate, key)
    configuration.write_text(_of_our_own(configuration.read_text(), root, ports))
    nginx = Process("nginx", ["nginx", "-c", str(configuration), "-g", "daemon off;"], root / "nginx.log")
    try:
        nginx.wait_until(lambda: _listens(ports[1]))
        yield Edge(ports[1], certificate)
    finally:
        nginx.stop()


def _render(root: Path, upstream: str, certificate: Path, key: Path) -> None:
    (root / "play.yml").write_text(PLAYBOOK.format(role=ROLE, root=root))
    variables = {
        "ansible_python_interpreter": sys.executable,
        "nginx_server_name": NAME,
        "nginx_upstreams": [upstream],
        "__nginx_has_ipv6": False,
        "__nginx_certificate_path": str(certificate),
        "__nginx_certificate_key_path": str(key),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(root / "play.yml")]
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=PROJECT, capture_output=True)


def _of_our_own(configuration: str, root: Path, ports: list[int]) -> str:
    """The configuration with other ports and places, so that it meets no other nginx of this machine."""
    own = {
        "user www-data;": f"user {root.owner()} {root.group()};",
        "/run/nginx.pid": f"{root}/nginx.pid",
        "/var/log/nginx/": f"{root}/nginx-",
        "listen 80 ": f"listen 127.0.0.1:{ports[0]} ",
        "listen 443 ": f"listen 127.0.0.1:{ports[1]} ",
    }
    for theirs, ours in own.items():
        assert theirs in configuration
        configuration = configuration.replace(theirs, ours)
    return configuration


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def _line(call: str, length: int, **parameters: str) -> bytes:
    """The target of a signed call whose whole request line has this many bytes."""
    around = len("GET  HTTP/1.1\r\n") + len(path(call, **parameters, fill=""))
    return path(call, **parameters, fill="x" * (length - around)).encode()


def _takes_every_shape_of_a_path(edge: Edge) -> None:
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


def test_long_request_lines_and_odd_ones(edge: Edge, cluster: Cluster) -> None:
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


def test_slides_of_many_megabytes_reach_the_second_node_byte_for_byte(edge: Edge, cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "error", calls=["create"])
    slides = b"<modules><!--" + random.Random(1).randbytes(10_000_000).hex().encode() + b"\r\n\xc3\xa9--></modules>"
    answer = edge.post(path("create", meetingID="course-1", name="Algebra"), slides, "text/xml; charset=utf-8")
    assert b"<returncode>SUCCESS</returncode>" in answer
    (seen,) = cluster.requests("bbb2", "create")
    assert seen.body_sha256 == hashlib.sha256(slides).hexdigest()
