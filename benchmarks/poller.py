"""Does one poller watch 500 nodes within half a core, with no snapshot older than two intervals, while 5 % hang?

Runs `balancer poller run` for a minute against nodes on loopback, with its own PostgreSQL and Redis. Ages are those of
the snapshots of nodes that answer, sampled twice a second, in seconds since the poll began.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import redis

from balancer.core.nodes import AdminState
from balancer.storage.postgresql import database, nodes, schema
from balancer.storage.redis.snapshots import Snapshots
from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.listing_nodes import address, internal_id
from benchmarks.processes import cpu_seconds
from lab.command import wait_until
from lab.sandbox import BIN, free_ports
from lab.services import PostgreSQL, Process, Redis

#: Seconds between two samples of the snapshots.
SAMPLE = 0.5


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The nodes to poll and how: the number of nodes, of those that hang, of meetings a node and of users a meeting."""

    nodes: int
    hung: int
    meetings: int
    users: int
    interval: float


def measure(seconds: float, under: str, **shape: float) -> Iterator[Figure]:
    """Run a poller, and measure the CPU time of all processes and the ages of the snapshots."""
    fleet = Fleet(**shape)  # type: ignore[arg-type]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbb-fleet-")))
        directory.chmod(0o711)
        postgresql = stack.enter_context(PostgreSQL(directory / "pg").create().start())
        cache = stack.enter_context(Redis(directory / "redis").start())
        listing, port = _start_nodes(fleet)
        stack.callback(listing.wait)
        stack.callback(listing.kill)
        _register(postgresql.url(), port, fleet)
        poller = Process(
            "poller",
            [*under.split(), BIN / "balancer", "poller", "run"],
            directory / "poller.log",
            environment=_environment(postgresql.url(), cache.url(), fleet),
        )
        stack.callback(poller.stop)
        assert postgresql.process
        assert cache.process
        pids = {
            "poller": poller.pid,
            "postgresql": postgresql.process.pid,
            "redis": cache.process.pid,
            "nodes": listing.pid,
        }
        with redis.Redis.from_url(cache.url(), decode_responses=True) as client:
            snapshots = Snapshots(client)
            _await_first_polls(snapshots, fleet)
            yield from _sample(snapshots, pids, fleet, seconds)
        for event, count in _warnings(poller.log):
            click.echo(f"the poller warned {count} times: {event}", err=True)


def _start_nodes(fleet: Fleet) -> tuple[subprocess.Popen[str], int]:
    [port] = free_ports(1)
    shape = [port, fleet.nodes, fleet.hung, fleet.meetings, fleet.users]
    command = [sys.executable, "-m", "benchmarks.listing_nodes", *map(str, shape)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n", "the nodes did not start"
    return process, port


def _register(url: str, port: int, fleet: Fleet) -> None:
    """Register every node, with a row for each of its meetings as if it had been created an hour ago."""
    with database.connect(url) as connection:
        schema.migrate(connection)
    with database.connect(url) as connection:
        for number in range(fleet.nodes):
            node = nodes.add(
                connection,
                nodes.Declaration(
                    name=f"bbb{number}",
                    url=f"http://{address(number)}:{port}/bigbluebutton/api/",
                    secret=secrets.token_hex(20),
                ),
                AdminState.ENABLED,
            )
            _add_meetings(connection, node.id, number, fleet.meetings)


def _add_meetings(connection: database.Connection, node_id: int, number: int, meetings: int) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
            " expected_users, placed_at, created_at, user_joined) VALUES (1, %s, %s, %s, 'running', %s, 1748000000000,"
            " 10, now() - interval '1 hour', now() - interval '1 hour', true)",
            [
                (f"course-{number}-{each}", node_id, f"bbb{number}", internal_id(number, each))
                for each in range(meetings)
            ],
        )


def _environment(database_url: str, redis_url: str, fleet: Fleet) -> dict[str, str]:
    return os.environ | {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": secrets.token_hex(20),
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_POLL_INTERVAL": str(fleet.interval),
    }


def _await_first_polls(snapshots: Snapshots, fleet: Fleet) -> None:
    answering = fleet.nodes - fleet.hung
    wait_until(
        lambda: len(snapshots.all()) >= answering,
        what=f"{answering} nodes are polled",
        within=6 * fleet.interval,
        every=SAMPLE,
    )
    time.sleep(fleet.interval)


def _sample(snapshots: Snapshots, pids: dict[str, int], fleet: Fleet, seconds: float) -> Iterator[Figure]:
    ages: list[float] = []
    began, before = time.monotonic(), {name: cpu_seconds([pid]) for name, pid in pids.items()}
    while time.monotonic() < began + seconds:
        time.sleep(SAMPLE)
        found, now = snapshots.all(), time.time()
        ages += [now - snapshot.poll_started.timestamp() for snapshot in found.values()]
    elapsed = time.monotonic() - began
    for name, pid in pids.items():
        limit = 0.5 if name == "poller" else None
        yield Figure(f"{name} CPU", (cpu_seconds([pid]) - before[name]) / elapsed, "cores", limit)
    ages.sort()
    yield Figure("median age of snapshots", ages[len(ages) // 2], "s")
    yield Figure("p95 age of snapshots", ages[int(len(ages) * 0.95)], "s")
    yield Figure("oldest snapshot", ages[-1], "s", 2 * fleet.interval)
    yield Figure("poller memory", psutil.Process(pids["poller"]).memory_info().rss / 1e6, "MB")


def _warnings(log: Path) -> list[tuple[str, int]]:
    """The poller's most frequent warnings and errors, with their numbers."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    bad = [event for event in events if event["level"] in ("warning", "error", "critical")]
    return Counter(f"{event['event']}: {event.get('reason', '')}"[:100] for event in bad).most_common(10)


if __name__ == "__main__":
    command.run(
        "poller",
        measure,
        click.option("--nodes", type=int, default=500, show_default=True),
        click.option("--hung", type=int, default=25, show_default=True, help="Nodes that never answer."),
        click.option("--meetings", type=int, default=10, show_default=True, help="Meetings on each node."),
        click.option("--users", type=int, default=15, show_default=True, help="Users in each meeting."),
        click.option("--interval", type=float, default=10.0, show_default=True, help="Poll interval in seconds."),
        click.option("--seconds", type=float, default=60.0, show_default=True, help="Duration."),
        click.option("--under", default="", help="A command that runs the poller, such as a profiler."),
    )
