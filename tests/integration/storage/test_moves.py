"""A meeting whose node is away is moved by one of the creates that try, and creates go on whatever the others leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancer.core.meetings import Identity, LiveMeeting, Wanted
from balancer.core.parameters import Parameters
from balancer.errors import NoNodeAvailableError
from balancer.settings import Settings
from balancer.storage.meeting_store import DatabaseMeetingStore
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.redis import client as redis_client
from tests.integration.storage.conftest import meeting_store
from tests.integration.table_rows import add_node

CREATES = 4


@pytest.fixture
def rows(database_url: str) -> Iterator[Connection]:
    with connect(database_url, autocommit=True) as connection:
        for number in range(3):
            add_node(connection, f"bbb{number}", online=True)
        yield connection


@pytest.fixture
def store(rows: Connection, settings: Settings, database: Database, client: redis_client.Redis) -> DatabaseMeetingStore:
    for _ in range(20):  # as in production, where psycopg prepares what is repeated
        with database.single() as connection:
            nodes.all_nodes(connection)
    return meeting_store(settings, database, client)


def wanted(name: str) -> Wanted:
    return Wanted(tenant_id=1, meeting_id=name, parameters=Parameters.of([("meetingID", name)]))


def running(store: DatabaseMeetingStore, name: str) -> LiveMeeting:
    meeting, new = store.place(wanted(name), ())
    assert new
    assert store.settle(meeting, Identity(f"internal-{name}", 1))
    meeting, new = store.place(wanted(name), ())
    assert not new
    return meeting


def states(rows: Connection, name: str) -> list[str]:
    found = rows.execute("SELECT state FROM meetings WHERE meeting_id = %s ORDER BY id", [name])
    return [row["state"] for row in found]


def test_one_of_many_creates_moves_a_meeting(store: DatabaseMeetingStore, rows: Connection) -> None:
    meeting = running(store, "course")
    assert meeting.node
    away = {meeting.node.id}
    with ThreadPoolExecutor(CREATES) as threads:
        moves = [
            threads.submit(store.move, meeting, wanted("course"), away, "its node is away") for _ in range(CREATES)
        ]
        moved = [each.result() for each in moves]
    assert sum(new for _, new in moved) == 1
    assert len({row.id for row, _ in moved}) == 1
    assert states(rows, "course") == ["lost", "creating"]
    for number in range(10):
        running(store, f"after-{number}")


def test_a_meeting_stays_as_it_is_if_no_other_node_is_left(store: DatabaseMeetingStore, rows: Connection) -> None:
    meeting = running(store, "course")
    everywhere = {node.id for node in nodes.all_nodes(rows)}
    for _ in range(3):
        with pytest.raises(NoNodeAvailableError):
            store.move(meeting, wanted("course"), everywhere, "its node is away")
    assert states(rows, "course") == ["running"]
    for number in range(10):
        running(store, f"after-{number}")
