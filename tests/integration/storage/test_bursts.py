"""Bursts of creates from several processes at once load the nodes evenly, before and after a poll."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from balancer.core.meetings import Identity, Wanted
from balancer.core.nodes import Snapshot
from balancer.core.parameters import Parameters
from balancer.settings import Settings
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.snapshots import Snapshots
from tests.integration.storage.conftest import meeting_store
from tests.integration.table_rows import add_node

NODES, PROCESSES, THREADS, CREATES = 10, 4, 4, 200


@pytest.fixture
def rows(settings: Settings) -> Iterator[Connection]:
    """Connection to a database with ten nodes that are online."""
    with connect(settings.database_url, autocommit=True) as connection:
        for number in range(NODES):
            add_node(connection, f"bbb{number}", online=True)
        yield connection


def create_all(settings: Settings, names: list[str]) -> None:
    """Do what a web process does for these creates, in several threads; the nodes answer at once."""
    database, redis = (
        Database(settings.database_url, application_name="test", size=THREADS),
        redis_client.connect(settings.redis_url),
    )
    database.open()
    store = meeting_store(settings, database, redis)

    def create(name: str) -> None:
        wanted = Wanted(tenant_id=1, meeting_id=name, parameters=Parameters.of([("meetingID", name)]))
        meeting, new = store.place(wanted, ())
        assert new
        assert store.settle(meeting, Identity(f"internal-{name}", 1))

    try:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(create, names))
    finally:
        database.close()
        redis.close()


def burst(settings: Settings, word: str) -> None:
    """200 creates from 16 clients of 4 processes."""
    shares = [[f"{word}-{turn}" for turn in range(start, CREATES, PROCESSES)] for start in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        list(processes.map(create_all, [settings] * PROCESSES, shares))


def poll(settings: Settings, rows: Connection, users: dict[str, int]) -> None:
    """Write the snapshots of a poll that finds these users, given by internalMeetingID."""
    now = clock.now(rows)
    with redis_client.connect(settings.redis_url) as redis:
        for node in nodes.all_nodes(rows):
            found = rows.execute("SELECT internal_meeting_id AS id FROM meetings WHERE node_id = %s", [node.id])
            participants = {row["id"]: users[row["id"]] for row in found}
            snapshot = Snapshot(
                node_id=node.id,
                fencing=1,
                poll_started=now,
                polled=now,
                users=sum(participants.values()),
                video=0,
                participants=participants,
            )
            assert Snapshots(redis).write(snapshot, {})


def homes(rows: Connection) -> dict[str, str]:
    """Node by internalMeetingID."""
    found = rows.execute("SELECT internal_meeting_id AS id, node_name FROM meetings WHERE state = 'running'")
    return {row["id"]: row["node_name"] for row in found}


def test_bursts_spread_evenly_before_and_right_after_a_poll(settings: Settings, rows: Connection) -> None:
    poll(settings, rows, {})
    burst(settings, "first")
    counts = Counter(homes(rows).values())
    assert counts.total() == CREATES
    assert len(counts) == NODES
    assert max(counts.values()) - min(counts.values()) <= 1, counts

    # Rooms fill unevenly, a poll ends, and the next burst begins at once.
    chance = random.Random(7)
    users = {name: chance.randint(settings.expected_users, 40) for name in homes(rows)}
    poll(settings, rows, users)
    burst(settings, "second")
    load: Counter[str] = Counter()
    for name, home in homes(rows).items():
        load[home] += users.get(name, settings.expected_users)
    assert len(homes(rows)) == 2 * CREATES
    assert max(load.values()) / (load.total() / NODES) <= 1.1, load
