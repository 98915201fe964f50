"""What a placement counts: meetings that a node's last poll saw, and those that it could not see."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from balancer.core.meetings import Wanted
from balancer.core.nodes import AdminState, Snapshot
from balancer.core.parameters import Parameters
from balancer.settings import Settings
from balancer.storage import clock, nodes
from balancer.storage.database import Connection, connect
from balancer.storage.placing import Outlook, gather, judge, outlook


@pytest.fixture
def rows(settings: Settings) -> Iterator[Connection]:
    """Connection to a database with one node."""
    with connect(settings.database_url, autocommit=True) as connection:
        declared = nodes.Declaration(name="bbb1", url="https://bbb1/", secret="a-secret")
        nodes.add(connection, declared, AdminState.ENABLED)
        yield connection


def node_id(rows: Connection) -> int:
    return nodes.by_name(rows, "bbb1").id


def meeting(
    rows: Connection, name: str, expected: float, *, placed: datetime, created: datetime | None, state: str = "running"
) -> None:
    values = {
        "node": node_id(rows),
        "name": name,
        "internal": f"internal-{name}" if created else None,
        "expected": expected,
        "placed": placed,
        "created": created,
        "state": state,
    }
    rows.execute(
        "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
        " expected_users, recorded, placed_at, created_at) VALUES (1, %(name)s, %(node)s, 'bbb1', %(state)s,"
        " %(internal)s, CASE WHEN %(internal)s::text IS NOT NULL THEN 1 END, %(expected)s, false, %(placed)s,"
        " %(created)s)",
        values,
    )


def snapshot(rows: Connection, began: datetime, participants: Mapping[str, int]) -> dict[int, Snapshot]:
    number = node_id(rows)
    users = sum(participants.values())
    found = Snapshot(
        node_id=number,
        fencing=1,
        poll_started=began,
        polled=began,
        users=users,
        video=0,
        participants={f"internal-{name}": count for name, count in participants.items()},
    )
    return {number: found}


def some_meetings(rows: Connection, began: datetime) -> None:
    """Around a poll that began then."""
    second = timedelta(seconds=1)
    meeting(rows, "old", 1, placed=began - timedelta(hours=1), created=began - timedelta(hours=1))
    meeting(rows, "seen", 20, placed=began - 2 * second, created=began - second)
    meeting(rows, "gone", 300, placed=began - 2 * second, created=began - second)
    meeting(rows, "seen all the same", 4000, placed=began - second, created=began)
    meeting(rows, "after", 50_000, placed=began - second, created=began + second)
    meeting(rows, "asked", 600_000, placed=began - second, created=None, state="creating")


def reserved(rows: Connection, known: Outlook, settings: Settings) -> tuple[float, int]:
    """Users and meetings that are counted beside what the poll saw."""
    wanted = Wanted(tenant_id=1, meeting_id="new", parameters=Parameters())
    (found,) = judge(wanted, gather(rows, wanted, known).fetchall(), known, settings)
    there = known.seen.get(node_id(rows))
    return found.load.reserved, found.load.meetings - (there.snapshot.meetings if there else 0)


def test_a_meeting_is_counted_once_by_the_poll_or_by_its_row(rows: Connection, settings: Settings) -> None:
    began = clock.now(rows) - timedelta(seconds=5)
    some_meetings(rows, began)
    known = outlook(rows, snapshot(rows, began, {"old": 7, "seen": 1, "seen all the same": 2}), settings)
    assert known.seen[node_id(rows)].filling == 19 + 3998
    assert reserved(rows, known, settings) == (650_000, 2)


@pytest.mark.parametrize("stale", [True, False])
def test_without_a_fresh_poll_every_live_row_counts(rows: Connection, settings: Settings, stale: bool) -> None:
    began = clock.now(rows) - timedelta(hours=2)
    some_meetings(rows, began)
    known = outlook(rows, snapshot(rows, began, {"old": 7}) if stale else {}, settings)
    assert known.seen == {}
    assert reserved(rows, known, settings) == (654_321, 6)
