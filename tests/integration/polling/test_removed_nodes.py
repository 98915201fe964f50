"""Polls during the removal of a node, and after it was registered again."""

import asyncio

import psycopg.errors
import pytest

from balancer.storage.postgresql import nodes, transitions
from balancer.storage.postgresql.database import connect
from balancer.storage.postgresql.reconciliation import NOT_ITS_OWN
from tests.eventually import until_async
from tests.integration.polling.fleet import Created, Fleet
from tests.integration.polling.test_meetings import WAITING
from tests.poll_rounds import PollRounds


def removed(fleet: Fleet, created: Created, *, tenant: str = "default", handed_out: bool = True) -> int:
    """A row of the meeting from the node's earlier registration."""
    row = fleet.place("bbb1", created.meeting_id, created)
    fleet.rows.execute("INSERT INTO tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [tenant])
    fleet.rows.execute(
        "UPDATE meetings SET state = 'lost', finished_at = now(), node_id = NULL,"
        " created_at = CASE WHEN %s THEN created_at END, tenant_id = (SELECT id FROM tenants WHERE name = %s)"
        " WHERE id = %s",
        [handed_out, tenant, row],
    )
    return row


@pytest.mark.parametrize("polled", [True, False])
async def test_a_meeting_whose_node_is_removed_while_it_returns_stays_lost(
    poller: PollRounds, fleet: Fleet, database_url: str, polled: bool
) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    if polled:  # otherwise the first statement that waits stores the node's state
        await poller.run_once()
    fleet.rows.execute("UPDATE meetings SET state = 'lost', finished_at = now()")

    async def waits() -> bool:
        return fleet.rows.execute(WAITING).rowcount > 0

    with connect(database_url) as removal:
        transitions.lose_all(removal, fleet.nodes["bbb1"].id, "its node was removed")
        nodes.remove(removal, fleet.nodes["bbb1"])
        polling = asyncio.create_task(poller.run_once())
        await until_async(waits)
    await polling
    assert (fleet.row(row)["state"], fleet.row(row)["node_id"]) == ("lost", None)
    assert fleet.observed() == {}


async def test_the_removal_of_a_node_waits_for_a_meeting_that_returns_there(
    poller: PollRounds, fleet: Fleet, database_url: str
) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    fleet.rows.execute("UPDATE meetings SET state = 'lost', finished_at = now()")

    async def waits() -> bool:
        return fleet.rows.execute(WAITING).rowcount > 0

    with connect(database_url) as other:
        # The poll has locked the node, and not yet the row.
        other.execute("SELECT FROM meetings WHERE id = %s FOR UPDATE", [row])
        polling = asyncio.create_task(poller.run_once())
        await until_async(waits)
        with connect(database_url, autocommit=True) as removal:
            removal.execute("SET lock_timeout = '1ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                nodes.remove(removal, fleet.nodes["bbb1"])
    await polling
    assert fleet.states(row) == ["running"]


@pytest.mark.parametrize(("tenant", "handed_out"), [("another", True), ("default", False)])
async def test_a_create_that_finished_without_us_does_not_adopt_another_meeting(
    poller: PollRounds, fleet: Fleet, tenant: str, handed_out: bool
) -> None:
    await fleet.add("bbb1")
    removed(fleet, await fleet.create("bbb1", "course-1"), tenant=tenant, handed_out=handed_out)
    row = fleet.place("bbb1", "course-1", state="creating", ago=60)
    await poller.run_once()
    assert fleet.states(row) == ["ended"]
    assert fleet.causes(row) == [NOT_ITS_OWN]


async def test_a_meeting_that_was_handed_out_before_is_not_left_over(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    removed(fleet, await fleet.create("bbb1", "course-1"))
    row = fleet.place("bbb1", "course-1", state="lost", ago=10)
    await poller.run_once()
    assert fleet.row(row)["internal_meeting_id"] is None
    assert fleet.requests("bbb1", "end") == []
