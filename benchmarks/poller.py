"""Does one poller watch 500 nodes within half a core, with no snapshot older than two intervals, while 5 % hang?

``python -m benchmarks.poller`` runs `balancer poller run` for a minute against nodes on loopback, with a PostgreSQL
and a Redis of its own, and prints one JSON object. CPU is the poller's own (user and system) over wall time, the
stores' and the nodes' beside it. Ages are those of the snapshots of nodes that answer, sampled twice a second: seconds
since the poll began.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import redis

from balancer.core.nodes import AdminState
from balancer.storage.postgresql import database, nodes, schema
from balancer.storage.redis.snapshots import Snapshots
from benchmarks.listing_nodes import address, internal_id
from lab.services import PostgreSQL, Process, Redis

#: Seconds between two looks at the snapshots.
SAMPLE = 0.5


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbb-fleet-")))
        directory.chmod(0o711)
        postgresql = PostgreSQL(directory / "pg").create().start()
        stack.callback(postgresql.stop)
        cache = Redis(directory / "redis").start()
        stack.callback(cache.stop)
        fleet, port = _start_nodes(options)
        stack.callback(fleet.wait)
        stack.callback(fleet.kill)
        _register(postgresql.url(), port, options)
        poller = Process(
            "poller",
            [*options.under.split(), Path(sys.executable).parent / "balancer", "poller", "run"],
            directory / "poller.log",
            environment=_environment(postgresql.url(), cache.url(), options),
        )
        stack.callback(poller.stop)
        processes = {
            "poller": psutil.Process(poller.pid),
            "nodes": psutil.Process(fleet.pid),
            "redis": _process(cache.process),
            "postgresql": _process(postgresql.process),
        }
        result = _measure(cache.url(), processes, options)
        result["said"] = _said(poller.log)
    print(json.dumps(result, indent=1))
    good = result["poller_cpu"] <= 0.5 and result["oldest"] <= 2 * options.interval
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--hung", type=int, default=25, help="of the nodes")
    parser.add_argument("--meetings", type=int, default=10, help="on each node")
    parser.add_argument("--users", type=int, default=15, help="in each meeting")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two polls of a node")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--under", default="", help="a command to run the poller under, such as a profiler")
    return parser.parse_args()


def _start_nodes(options: argparse.Namespace) -> tuple[subprocess.Popen[str], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    shape = [port, options.nodes, options.hung, options.meetings, options.users]
    command = [sys.executable, "-m", "benchmarks.listing_nodes", *map(str, shape)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n", "the nodes did not start"
    return process, port


def _register(url: str, port: int, options: argparse.Namespace) -> None:
    """Every node, and a row for each of its meetings, as if they had been created an hour ago."""
    with database.connect(url) as connection:
        schema.migrate(connection)
    with database.connect(url) as connection:
        for number in range(options.nodes):
            node = nodes.add(
                connection,
                nodes.Declaration(
                    name=f"bbb{number}",
                    url=f"http://{address(number)}:{port}/bigbluebutton/api/",
                    secret=secrets.token_hex(20),
                ),
                AdminState.ENABLED,
            )
            _add_meetings(connection, node.id, number, options.meetings)


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


def _environment(database_url: str, redis_url: str, options: argparse.Namespace) -> dict[str, str]:
    return os.environ | {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": secrets.token_hex(20),
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_POLL_INTERVAL": str(options.interval),
    }


def _process(process: Process | None) -> psutil.Process:
    assert process
    return psutil.Process(process.pid)


def _measure(redis_url: str, processes: dict[str, psutil.Process], options: argparse.Namespace) -> dict[str, Any]:
    answering = options.nodes - options.hung
    ages: list[float] = []
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        snapshots = Snapshots(client)
        deadline = time.monotonic() + 6 * options.interval
        while len(snapshots.all()) < answering:
            assert time.monotonic() < deadline, f"{len(snapshots.all())} of {answering} nodes were ever polled"
            time.sleep(SAMPLE)
        time.sleep(options.interval)
        began, before = time.monotonic(), {name: _cpu(process) for name, process in processes.items()}
        while time.monotonic() < began + options.seconds:
            time.sleep(SAMPLE)
            found, now = snapshots.all(), time.time()
            ages += [now - snapshot.poll_started.timestamp() for snapshot in found.values()]
    took = time.monotonic() - began
    shares = {f"{name}_cpu": round((_cpu(each) - before[name]) / took, 3) for name, each in processes.items()}
    return _shape(options) | shares | _ages(ages) | {"poller_mb": processes["poller"].memory_info().rss // 1_000_000}


def _said(log: Path) -> dict[str, int]:
    """How often the poller warned of what."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    bad = [event for event in events if event["level"] in ("warning", "error", "critical")]
    return dict(Counter(f"{event['event']}: {event.get('reason', '')}"[:100] for event in bad).most_common(10))


def _cpu(process: psutil.Process) -> float:
    """Seconds, of the process and the children that it has now."""
    family = [process, *process.children(recursive=True)]
    return float(sum(times.user + times.system for times in (each.cpu_times() for each in family)))


def _shape(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("nodes", "hung", "meetings", "users", "interval", "seconds")}


def _ages(ages: list[float]) -> dict[str, float]:
    ordered = sorted(ages)
    return {
        "median": round(ordered[len(ordered) // 2], 2),
        "p95": round(ordered[int(len(ordered) * 0.95)], 2),
        "oldest": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
