"""The balancer under test: a sandbox that is configured like a deployment, with the rows that a benchmark needs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import requests

from benchmarks.front_end import FrontEnd
from lab.sandbox import Sandbox, empty, fill, free_ports
from lab.services import Process

#: As roles/balancer deploys gunicorn.
WORKERS, THREADS = 2, 32
_ROWS = Path(__file__).parent / "recording_rows.sql"


@contextlib.contextmanager
def running(nodes: int, poll_interval: float = 5.0) -> Iterator[Sandbox]:
    """The balancer with simulated nodes, all online. Raises ServiceError if it does not get ready."""
    with empty(f"http://127.0.0.1:{free_ports(1)[0]}") as sandbox:
        sandbox.environment["BALANCER_WEB_THREADS"] = str(THREADS)
        fill(sandbox, nodes, workers=WORKERS, poll_interval=poll_interval, timeout=180)
        yield sandbox


def wait_for(process: Process, url: str) -> None:
    """Wait until a process of a sandbox answers at the URL. Raises ServiceError if it does not."""

    def answers() -> bool:
        try:
            return requests.get(url, timeout=2).ok
        except requests.RequestException:
            return False

    process.wait_until(answers)


def front_end(sandbox: Sandbox) -> FrontEnd:
    return FrontEnd(sandbox.origin, sandbox.secret)


def make_recordings(sandbox: Sandbox, count: int) -> None:
    """Insert the rows of `count` recordings, without files, which no call of the API reads."""
    _, *statements = _ROWS.read_text().split("-- name: ")
    with psycopg.connect(sandbox.environment["BALANCER_DATABASE_URL"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.partition("\n")[2].encode(), {"count": count})
