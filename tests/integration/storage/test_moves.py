"""Moving a meeting whose node is away: one of several rivals does it, and creates go on afterwards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancer.core.meetings import Identity, Placement, Wanted
from balancer.core.nodes import AdminState, ObservedState
from balancer.core.parameters import Parameters
from balancer.errors import NoNodeAvailableError
from balancer.settings import Settings
from balancer.storage.meeting_store import Meetings
from balancer.storage.outlook import OutlookCache
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Whereabouts

RIVALS = 4


@pytest.fixture
def rows(database_url: str) -> Iterator[Connection]:
    with connect(database_url, autocommit=True) as connection:
        for number in range(3):
            declared = nodes.Declaration(name=f"bbb{number}", url=f"https://bbb{number}/", secret="a-secret")
            node = nodes.add(connection, declared, AdminState.ENABLED)
            nodes.observe(connection, node.id, ObservedState.ONLINE, reason="", bbb_version="", digests=(), fencing=1)
        yield connection


@pytest.fixture
def meetings(rows: Connection, settings: Settings, database: Database, client: redis_client.Redis) -> Meetings:
    for _ in range(20):  # as the directory does every few seconds, so that psycopg has prepared it
        with database.single() as connection:
            nodes.all_nodes(connection)
    outlooks = OutlookCache(settings, Snapshots(client), database)
    return Meetings(settings, database, Whereabouts(client), outlooks, PollRequests(client))


def wanted(name: str) -> Wanted:
    return Wanted(tenant_id=1, meeting_id=name, parameters=Parameters.of([("meetingID", name)]))


def running(meetings: Meetings, name: str) -> Placement:
    placement, new = meetings.place(wanted(name), ())
    assert new
    assert meetings.settle(placement, Identity(f"internal-{name}", 1))
    placement, new = meetings.place(wanted(name), ())
    assert not new
    return placement


def states(rows: Connection, name: str) -> list[str]:
    found = rows.execute("SELECT state FROM meetings WHERE meeting_id = %s ORDER BY id", [name])
    return [row["state"] for row in found]


def test_one_of_many_rivals_moves_a_meeting(meetings: Meetings, rows: Connection) -> None:
    placement = running(meetings, "course")
    assert placement.node
    away = {placement.node.id}
    with ThreadPoolExecutor(RIVALS) as threads:
        tries = [
            threads.submit(meetings.move, placement, wanted("course"), away, "its node is away") for _ in range(RIVALS)
        ]
        moved = [each.result() for each in tries]
    assert sum(fresh for _, fresh in moved) == 1
    assert len({new.id for new, _ in moved}) == 1
    assert states(rows, "course") == ["lost", "creating"]
    for number in range(10):
        running(meetings, f"after-{number}")


def test_if_no_node_is_left_the_meeting_stays_as_it_is(meetings: Meetings, rows: Connection) -> None:
    placement = running(meetings, "course")
    everywhere = {node.id for node in nodes.all_nodes(rows)}
    for _ in range(3):
        with pytest.raises(NoNodeAvailableError):
            meetings.move(placement, wanted("course"), everywhere, "its node is away")
    assert states(rows, "course") == ["running"]
    for number in range(10):
        running(meetings, f"after-{number}")
