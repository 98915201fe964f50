"""What is measured: a sandbox with the balancer as it is deployed, and the rows that a benchmark wants in it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import requests

from benchmarks.front_end import FrontEnd
from lab.sandbox import Sandbox, empty, fill, free_ports
from lab.services import Process

#: As roles/balancer deploys it.
WORKERS, THREADS = 2, 32
_ROWS = Path(__file__).parent / "recording_rows.sql"


@contextlib.contextmanager
def running(nodes: int, poll_interval: float = 5.0) -> Iterator[Sandbox]:
    """The balancer with simulated nodes, all online. Raises ServiceError where it does not get ready."""
    with empty(f"http://127.0.0.1:{free_ports(1)[0]}") as sandbox:
        sandbox.environment["BALANCER_WEB_THREADS"] = str(THREADS)
        fill(sandbox, nodes, workers=WORKERS, poll_interval=poll_interval, timeout=180)
        yield sandbox


def wait_for(process: Process, url: str) -> None:
    """Until a process of a sandbox answers there. Raises ServiceError where it does not."""

    def answers() -> bool:
        try:
            return requests.get(url, timeout=2).ok
        except requests.RequestException:
            return False

    process.wait_until(answers)


def front_end(sandbox: Sandbox) -> FrontEnd:
    return FrontEnd(sandbox.origin, sandbox.secret)


def make_recordings(sandbox: Sandbox, count: int) -> None:
    """Rows of so many recordings, without files: no call of the API touches those."""
    _, *statements = _ROWS.read_text().split("-- name: ")
    with psycopg.connect(sandbox.environment["BALANCER_DATABASE_URL"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.partition("\n")[2].encode(), {"count": count})
