"""gunicorn with the app, as the unit starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from lab.sandbox import free_ports
from tests.integration.web.cluster import SECRET

GUNICORN = Path(sys.executable).parent / "gunicorn"


@dataclass
class Server:
    """A running gunicorn."""

    origin: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def raw(self, request: bytes) -> bytes:
        """The answer to bytes that no client library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (chunk := connection.recv(65536)):
                answer += chunk
            return answer

    def exchange(self, request: bytes) -> bytes:
        """Everything that is answered up to the connection's end; nothing follows the request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            with suppress(OSError):  # it may be refused before its end
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    answer += chunk
            return answer

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}


@contextmanager
def serving(
    database_url: str, redis_url: str, directory: Path, listener: socket.socket | None = None, **given: str
) -> Iterator[Server]:
    """gunicorn on these stores, with settings of the test's own; listener: handed over as systemd does it."""
    port: int = listener.getsockname()[1] if listener else free_ports(1)[0]
    command: list[str | Path] = [GUNICORN, "--config", "python:balancer.web.gunicorn_config", "balancer.web.wsgi:app"]
    if listener:
        activated = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        command = ["bash", "-c", activated, "bash", *command]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BALANCER_")},
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": SECRET,
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_STATE_DIRECTORY": str(directory),
        "BALANCER_WEB_BIND": f"127.0.0.1:{port}",
        "BALANCER_WEB_WORKERS": "2",
        **{f"BALANCER_{name.upper()}": value for name, value in given.items()},
    }
    log = directory / "web.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[listener.fileno()] if listener else [],
            stdout=output,
            stderr=output,
        )
    server = Server(f"http://127.0.0.1:{port}", port, process, log)
    try:
        deadline = time.monotonic() + 30
        while not _alive(server):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _alive(server: Server) -> bool:
    try:
        return requests.get(f"{server.origin}/livez", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        time.sleep(0.05)
        return False
