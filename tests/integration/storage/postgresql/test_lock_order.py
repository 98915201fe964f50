"""A transaction that changes several meetings locks the lowest row first, whatever it does to them: no deadlock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balancer.core.meetings import Identity, LiveMeeting, State
from balancer.core.nodes import AdminState, Node
from balancer.core.reconciliation import NodeListing
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.postgresql.reconciliation import confirm_ended, reconcile
from balancer.storage.redis import client as redis_client
from tests.integration.settings import settings_for
from tests.integration.storage.conftest import meeting_store
from tests.unit.core.test_reconciliation import RUNNING, SEEN

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def node(rows: Connection) -> Node:
    declared = nodes.Declaration(name="bbb1", url="https://bbb1/", secret="a-secret")
    return nodes.add(rows, declared, AdminState.ENABLED)


def add(rows: Connection, node: Node, meeting_id: str, internal: str | None, state: str = "running") -> int:
    found = rows.execute(
        "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
        " expected_users, created_at, finished_at) VALUES (1, %(meeting_id)s, %(node_id)s, 'bbb1', %(state)s,"
        " %(internal)s, 1, 1, CASE WHEN %(internal)s::text IS NOT NULL THEN now() - interval '1 minute' END,"
        " CASE WHEN %(state)s = 'lost' THEN now() END) RETURNING id",
        {"meeting_id": meeting_id, "node_id": node.id, "state": state, "internal": internal},
    ).fetchone()
    assert found
    return int(found["id"])


def beside_a_removal(database_url: str, first: int, second: int, change: Callable[[], object]) -> None:
    """Do ``change`` while another transaction locks two rows in order, as the removal of their node does."""
    with ThreadPoolExecutor(1) as thread, connect(database_url) as removal, connect(database_url) as watch:
        removal.execute("SELECT FROM meetings WHERE id = %s FOR UPDATE", [first])
        changed = thread.submit(change)
        while not watch.execute(WAITING).rowcount:
            assert not changed.done(), changed.result()
            watch.commit()
        removal.execute("SELECT FROM meetings WHERE id = %s FOR UPDATE", [second])
        removal.commit()
        changed.result()


def test_a_poll(rows: Connection, node: Node, database: Database, database_url: str) -> None:
    joined, ended = add(rows, node, "course-1", "aaa-1"), add(rows, node, "course-2", "aaa-2")
    listed = replace(SEEN, meeting_id="course-1", internal_meeting_id="aaa-1", participants=3)
    listing = NodeListing(
        node_id=node.id,
        poll_started=datetime.now(UTC),
        meetings=[listed],
        listed_before=frozenset({"aaa-1", "aaa-2"}),
    )
    beside_a_removal(
        database_url, joined, ended, lambda: reconcile(database, listing, create_grace=timedelta(seconds=30))
    )
    found = rows.execute("SELECT state, peak_users FROM meetings ORDER BY id").fetchall()
    assert found == [{"state": "running", "peak_users": 3}, {"state": "ended", "peak_users": 0}]


def test_ends_that_a_node_confirmed(rows: Connection, node: Node, database: Database, database_url: str) -> None:
    first, second = add(rows, node, "course-1", "aaa-1"), add(rows, node, "course-2", "aaa-2")
    # PostgreSQL scans a table that it knows to be short, and the first row's tuple is now behind the second's.
    rows.execute("UPDATE meetings SET recorded = true WHERE id = %s", [first])
    rows.execute("ANALYZE meetings")
    placed = [replace(RUNNING, id=number) for number in (second, first)]
    beside_a_removal(database_url, first, second, lambda: confirm_ended(database, placed, datetime.now(UTC)))
    assert [row["state"] for row in rows.execute("SELECT state FROM meetings")] == ["ended", "ended"]


def test_a_create_that_is_answered_with_a_meeting_from_before(
    rows: Connection, node: Node, database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    before, placed = add(rows, node, "course-1", "aaa-1", "lost"), add(rows, node, "course-1", None, "creating")
    redis = redis_client.connect(redis_url)
    settings = settings_for(database_url, redis_url, tmp_path)
    store = meeting_store(settings, database, redis)
    meeting = LiveMeeting(id=placed, tenant_id=1, meeting_id="course-1", state=State.CREATING, node=node)
    beside_a_removal(database_url, before, placed, lambda: store.settle(meeting, Identity("aaa-1", 1)))
    assert [row["state"] for row in rows.execute("SELECT state FROM meetings ORDER BY id")] == ["running", "ended"]
    redis.close()
