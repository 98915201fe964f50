"""How much does a web process that computes all the time delay the placements of another one?

Both place meetings in one database. In Python one thread of a process computes at a time, so each answer of PostgreSQL
waits for the busy threads of its process. If that process held a lock meanwhile, the other one would wait too.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from balancer import log
from balancer.core.meetings import Wanted
from balancer.core.nodes import AdminState, ObservedState
from balancer.core.parameters import Parameters
from balancer.settings import Settings, load
from balancer.storage.postgresql import nodes, schema
from balancer.storage.postgresql.database import connect
from balancer.web.services import Services
from benchmarks import command
from benchmarks.figures import Figure
from lab.services import PostgreSQL, Redis

NODES, SECONDS, PLACING_THREADS, BUSY_THREADS, ROUNDS = 20, 5.0, 6, 4, 3


def settings_of(database_url: str, redis_url: str, directory: str) -> Settings:
    return load(
        {
            "BALANCER_ENV_FILE": "/dev/null",
            "BALANCER_DATABASE_URL": database_url,
            "BALANCER_REDIS_URL": redis_url,
            "BALANCER_SECRETS": "front-end-secret-0123456789",
            "BALANCER_PUBLIC_URL": "https://bbb.example.org",
            "BALANCER_STATE_DIRECTORY": directory,
            "BALANCER_LOG_LEVEL": "error",
        }
    )


def register_nodes(database_url: str) -> None:
    with connect(database_url, autocommit=True) as connection:
        schema.migrate(connection)
        for number in range(NODES):
            declared = nodes.Declaration(name=f"bbb{number}", url=f"https://bbb{number}/", secret="a-secret")
            node = nodes.add(connection, declared, AdminState.ENABLED)
            nodes.observe(connection, node.id, ObservedState.ONLINE, reason="", bbb_version="", digests=(), fencing=1)


def place(settings: Settings, name: str, placing: int, busy: int) -> list[float]:
    """Place meetings in some threads while others compute; the seconds that each placement took."""
    log.configure(settings.log_level, settings.log_format)
    services = Services.create(settings)
    services.open()
    end = time.monotonic() + SECONDS
    waits: list[float] = []

    def compute() -> None:
        while time.monotonic() < end:
            sum(range(10_000))

    def place_repeatedly(thread: int) -> None:
        number = 0
        while (began := time.monotonic()) < end:
            number += 1
            meeting_id = f"{name}-{thread}-{number}"
            parameters = Parameters.of([("meetingID", meeting_id)])
            services.creation.store.place(Wanted(tenant_id=1, meeting_id=meeting_id, parameters=parameters), ())
            waits.append(time.monotonic() - began)

    with ThreadPoolExecutor(placing + busy) as threads:
        tasks = [threads.submit(place_repeatedly, thread) for thread in range(placing)]
        tasks += [threads.submit(compute) for _ in range(busy)]
        for task in tasks:
            task.result()
    services.close()
    return waits


def wait_beside(busy: int) -> float:
    """Median seconds of a placement in a process with nothing else to do, beside one with so many busy threads."""
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with PostgreSQL(directory / "pg").create().start() as postgresql, Redis(directory / "redis").start() as redis:
            register_nodes(postgresql.url())
            settings = settings_of(postgresql.url(), redis.url(), name)
            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
                beside = processes.submit(place, settings, "busy", PLACING_THREADS, busy)
                waits = processes.submit(place, settings, "idle", 1, 0).result()
                beside.result()
    return median(waits)


def measure() -> Iterator[Figure]:
    ratios = [wait_beside(BUSY_THREADS) / wait_beside(0) for _ in range(ROUNDS)]
    yield Figure("placement beside a busy process, to beside an idle one", median(ratios), "times", 3)


if __name__ == "__main__":
    command.run("busy_process", measure)
