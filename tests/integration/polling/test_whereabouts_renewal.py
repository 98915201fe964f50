"""The renewal of running placements' copies in Redis, which joins need while PostgreSQL is away."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from balancer.polling.loop import opened
from balancer.polling.whereabouts_renewal import EVERY, WhereaboutsRenewal
from balancer.settings import Settings
from balancer.storage.poll_stores import PollStores
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from balancer.storage.redis.whereabouts import LIFE, Location, Whereabouts
from lab.services import PostgreSQL, Redis
from tests.eventually import until_async
from tests.integration.polling.fleet import Created, Fleet
from tests.manual_clock import Clock
from tests.poll_rounds import PollRounds

INTERNAL = "internal-1"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def copies(
    database: Database, client: redis_client.Redis, threads: ThreadPoolExecutor, clock: Clock
) -> WhereaboutsRenewal:
    return WhereaboutsRenewal(PollStores(database, client), threads, clock=clock)


@pytest.fixture
async def home(fleet: Fleet) -> int:
    """The ID of the node that all meetings are on; nothing listens at its address."""
    fleet.register("bbb1", "http://127.0.0.1:1/bigbluebutton/api/")
    return fleet.nodes["bbb1"].id


def runs(fleet: Fleet, meeting_id: str = "course-1", internal: str = INTERNAL) -> int:
    """A running meeting that neither a request nor a poll has copied."""
    return fleet.place("bbb1", meeting_id, Created(meeting_id, internal, 1))


async def test_a_poller_copies_running_meetings_and_no_others(
    poller: PollRounds, fleet: Fleet, home: int, client: redis_client.Redis
) -> None:
    row = runs(fleet)
    for state in ("creating", "ended", "lost"):
        fleet.place("bbb1", f"a-{state}-one", state=state)
    await poller.run_once()
    assert Whereabouts(client).find(1, "course-1") == Location(row, home, INTERNAL)
    assert client.keys(keys.location(1, "*")) == [keys.location(1, "course-1")]


async def test_a_wiped_redis_gets_all_copies_again(
    settings: Settings, fleet: Fleet, home: int, client: redis_client.Redis
) -> None:
    row, placements, stop = runs(fleet), Whereabouts(client), asyncio.Event()
    async with opened(replace(settings, poll_interval=0.3)) as poller:
        polling = asyncio.create_task(poller.run(stop))
        await until_async(lambda: placements.find(1, "course-1") is not None)
        client.flushall()
        await until_async(lambda: placements.find(1, "course-1") == Location(row, home, INTERNAL))
        stop.set()
        await asyncio.wait_for(polling, 20)


async def test_a_later_row_is_not_overwritten(
    copies: WhereaboutsRenewal, fleet: Fleet, home: int, client: redis_client.Redis
) -> None:
    row = runs(fleet)
    later = Location(row + 1, home, "internal-2")
    Whereabouts(client).note(1, "course-1", later)
    await copies.keep(1)
    assert Whereabouts(client).find(1, "course-1") == later


@pytest.mark.usefixtures("home")
async def test_a_copy_never_expires_while_its_meeting_runs(
    copies: WhereaboutsRenewal, fleet: Fleet, client: redis_client.Redis, clock: Clock
) -> None:
    runs(fleet)
    await copies.keep(1)
    key = keys.location(1, "course-1")
    assert EVERY < client.ttl(key) <= LIFE
    client.expire(key, 60)
    clock.now += EVERY - 1
    await copies.keep(1)
    assert client.ttl(key) <= 60  # not every round reads all rows
    clock.now += 1
    await copies.keep(1)
    assert client.ttl(key) > EVERY
    client.expire(key, 60)
    await copies.keep(2)  # a new lease holder does not wait
    assert client.ttl(key) > EVERY


@pytest.mark.usefixtures("home")
async def test_a_redis_that_is_away_is_tried_again_at_the_next_round(
    database: Database, threads: ThreadPoolExecutor, fleet: Fleet, own_redis: Redis
) -> None:
    runs(fleet)
    with redis_client.connect(own_redis.url()) as client:
        copies = WhereaboutsRenewal(PollStores(database, client), threads)
        own_redis.stop()
        await copies.keep(1)
        own_redis.start()
        assert Whereabouts(client).find(1, "course-1") is None
        await copies.keep(1)
        assert Whereabouts(client).find(1, "course-1") is not None


async def test_a_postgresql_that_is_away_is_tried_again_at_each_round(
    own_postgresql: PostgreSQL, threads: ThreadPoolExecutor, fleet: Fleet, client: redis_client.Redis
) -> None:
    with connect(own_postgresql.url(), autocommit=True) as rows:
        fleet.rows = rows
        fleet.register("bbb1", "http://127.0.0.1:1/bigbluebutton/api/")
        row = runs(fleet)
    placements = Whereabouts(client)
    with closing(Database(own_postgresql.url(), application_name="test", size=2)) as database:
        database.open()
        copies = WhereaboutsRenewal(PollStores(database, client), threads)
        own_postgresql.stop()
        await copies.keep(1)
        own_postgresql.start()
        assert placements.find(1, "course-1") is None
        async with asyncio.timeout(30):
            while placements.find(1, "course-1") is None:
                await asyncio.sleep(0.05)
                await copies.keep(1)
    assert placements.find(1, "course-1") == Location(row, fleet.nodes["bbb1"].id, INTERNAL)


@pytest.mark.usefixtures("home")
async def test_a_meeting_that_ends_while_it_is_copied_leaves_no_copy(
    copies: WhereaboutsRenewal,
    fleet: Fleet,
    rows: Connection,
    client: redis_client.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending, running = runs(fleet), runs(fleet, "course-2", "internal-2")
    note_all = Whereabouts.note_all

    def late(placements: Whereabouts, meetings: list[object]) -> None:
        rows.execute("UPDATE meetings SET state = 'ended', finished_at = now() WHERE id = %s", [ending])
        placements.forget(1, "course-1", ending)
        note_all(placements, meetings)  # type: ignore[arg-type]

    monkeypatch.setattr(Whereabouts, "note_all", late)
    await copies.keep(1)
    found = Whereabouts(client).find_all(1, ["course-1", "course-2"])
    assert [place and place.row for place in found] == [None, running]


@pytest.mark.usefixtures("home")
async def test_thousands_are_copied(copies: WhereaboutsRenewal, rows: Connection, client: redis_client.Redis) -> None:
    rows.execute(
        "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
        " expected_users, created_at) SELECT 1, 'course-' || number, nodes.id, nodes.name, 'running',"
        " 'internal-' || number, 1, 1, now() FROM nodes, generate_series(1, 5000) AS number"
    )
    await copies.keep(1)
    assert len(client.keys(keys.location(1, "*"))) == 5000
