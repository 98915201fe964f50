"""`balancer poller run` as systemd runs it: two processes, one lease."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from balancer.storage.postgresql import nodes as node_rows
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from lab.services import Process
from tests.eventually import until_async
from tests.integration.polling.fleet import Fleet

BALANCER = Path(sys.executable).parent / "balancer"
INTERVAL = 0.5


class Pollers:
    """Poller processes of this test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self.started: list[Process] = []

    def start(self) -> Process:
        log = self._directory / f"poller{len(self.started)}.log"
        process = Process("poller", [BALANCER, "poller", "run"], log, environment=self._environment)
        self.started.append(process)
        return process


@pytest.fixture
async def pollers(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Pollers]:
    environment = os.environ | {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": "front-end-secret-0123456789",
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_POLL_INTERVAL": str(INTERVAL),
    }
    async with AsyncExitStack() as stack:
        pollers = Pollers(environment, tmp_path)
        yield pollers
        for process in pollers.started:
            stack.callback(process.kill)


def fencing(fleet: Fleet) -> int:
    return next((snapshot.fencing for snapshot in fleet.snapshots.all().values()), 0)


async def test_another_process_polls_after_the_lease_holder_is_killed(
    pollers: Pollers, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1", "bbb2")
    first = pollers.start()
    await until_async(lambda: fencing(fleet) > 0)
    second = pollers.start()
    await until_async(lambda: second.log.exists() and second.running)
    before = fencing(fleet)
    # A waiting process tries every interval, so within three another one holds the lease.
    assert cast(int, client.pttl(keys.lease("poller"))) <= 2 * INTERVAL * 1000
    first.kill()
    await until_async(lambda: fencing(fleet) > before)
    assert second.running
    # A process that is started again waits.
    third = pollers.start()
    seen = len(fleet.requests("bbb1", "getMeetings"))
    await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) > seen + 4)
    assert fleet.servers["bbb1"].node.request_log.most_at_once["getMeetings"] == 1
    assert third.running
    assert client.exists(keys.lease("poller"))


async def test_a_frozen_holder_never_overwrites_its_successor(pollers: Pollers, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    first = pollers.start()
    await until_async(lambda: fencing(fleet) > 0)
    before = fencing(fleet)
    pollers.start()
    os.kill(first.pid, signal.SIGSTOP)
    try:
        await until_async(lambda: fencing(fleet) > before)
        after = fencing(fleet)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    seen = len(fleet.requests("bbb1", "getMeetings"))
    await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) > seen + 4)
    assert first.running
    # Greater if the lease was lost and taken again.
    assert fencing(fleet) >= after
    await until_async(lambda: '"held": false' in first.log.read_text())


async def test_sigterm_ends_it_cleanly_and_frees_the_lease(
    pollers: Pollers, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1")
    process = pollers.start()
    await until_async(lambda: fencing(fleet) > 0)
    os.kill(process.pid, signal.SIGTERM)
    await asyncio.to_thread(process.wait_for_end, 20.0)
    assert not client.exists(keys.lease("poller"))
    assert "Traceback" not in process.log.read_text()


async def test_it_waits_for_stores_that_are_away_at_its_start(pollers: Pollers, fleet: Fleet, tmp_path: Path) -> None:
    pollers._environment["BALANCER_REDIS_URL"] = f"unix://{tmp_path}/nothing.sock"
    process = pollers.start()
    await until_async(lambda: process.log.exists() and "lease not renewed" in process.log.read_text())
    assert process.running
    assert "Traceback" not in process.log.read_text()


async def test_what_operators_change_is_logged(pollers: Pollers, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    process = pollers.start()
    await until_async(lambda: len(fleet.observed()) == 2)
    fleet.rows.execute("UPDATE nodes SET admin_state = 'draining', secret = 'another-secret' WHERE name = 'bbb1'")
    node_rows.remove(fleet.rows, fleet.nodes["bbb2"])

    def changes() -> list[dict[str, Any]]:
        lines = map(json.loads, process.log.read_text().splitlines())
        return [each for each in lines if each["event"].endswith("by an operator")]

    await until_async(lambda: len(changes()) == 2)
    by_event = {each["event"]: each for each in changes()}
    changed = by_event["node changed by an operator"]
    assert changed["node"] == "bbb1"
    assert changed["changes"] == {"admin_state": ["enabled", "draining"], "secret": "…"}
    assert by_event["node removed by an operator"]["node"] == "bbb2"


async def test_no_secret_is_logged(pollers: Pollers, fleet: Fleet, database_url: str) -> None:
    await fleet.add("bbb1", "bbb2")
    fleet.misbehave("bbb2", "checksum")
    process = pollers.start()
    await until_async(lambda: "checksum" in process.log.read_text() and len(fleet.observed()) == 2)
    log = process.log.read_text()
    assert fleet.nodes["bbb1"].secret not in log
    assert "front-end-secret" not in log
    assert "checksum=" not in log
