"""The loop: each node on its own schedule, requests at once, no delay by a dead node, a clean stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from balancer.core.nodes import AdminState, ObservedState
from balancer.polling.loop import opened
from balancer.settings import Settings
from balancer.storage.postgresql import clock
from balancer.storage.postgresql import nodes as node_rows
from balancer.storage.postgresql.database import connect
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from lab.services import PostgreSQL, Redis
from tests.eventually import until_async
from tests.integration.polling.fleet import Fleet


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """A poller in this process; leaving the block stops it."""
    stop = asyncio.Event()
    async with opened(settings) as poller:
        task = asyncio.create_task(poller.run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


def often(settings: Settings) -> Settings:
    return replace(settings, poll_interval=0.3)


def seldom(settings: Settings) -> Settings:
    """An interval that no test waits for: a second poll of a node was requested."""
    return replace(settings, poll_interval=3600.0)


async def test_every_node_is_polled_again_and_again(settings: Settings, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    async with running(often(settings)):
        await until_async(lambda: all(len(fleet.requests(name, "getMeetings")) >= 4 for name in fleet.nodes))
    # Each poll after the one before: a node is never asked twice at one time.
    assert all(server.node.request_log.most_at_once["getMeetings"] == 1 for server in fleet.servers.values())


async def test_connections_are_kept(settings: Settings, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    connected: set[int] = set()
    web = fleet.servers["bbb1"]._web
    assert web is not None
    async with running(often(settings)):
        for polls in range(1, 6):
            await until_async(lambda wanted=polls: len(fleet.requests("bbb1", "getMeetings")) >= wanted)  # type: ignore[misc]
            connected |= {id(connection) for connection in web.connections}
    assert len(connected) == 1


async def test_hung_nodes_do_not_delay_others(settings: Settings, fleet: Fleet) -> None:
    names = [f"bbb{number:03}" for number in range(100)]
    await fleet.add(*names)
    hung, well = names[:5], names[5:]
    for name in hung:
        fleet.misbehave(name, "hang")
    async with running(replace(settings, poll_interval=2.0, poll_timeout=2.0)):
        await until_async(lambda: all(len(fleet.requests(name, "getMeetings")) >= 3 for name in well), within=60)
        # A hundred nodes in this process may be slow at first, but not for good.
        await until_async(lambda: {fleet.observed()[name][0] for name in well} == {ObservedState.ONLINE}, within=60)
        now = clock.now(fleet.rows)
        ages = {node_id: snapshot.age(now).total_seconds() for node_id, snapshot in fleet.snapshots.all().items()}
        observed = fleet.observed()
    assert ages.keys() == {fleet.nodes[name].id for name in well}
    assert max(ages.values()) < 15
    assert {observed[name] for name in hung} <= {(ObservedState.SUSPECT, "slow"), (ObservedState.UNREACHABLE, "slow")}


async def test_a_request_polls_that_node_at_once_and_no_other(
    settings: Settings, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1", "bbb2")
    async with running(seldom(settings)):
        await until_async(lambda: len(fleet.snapshots.all()) == 2)
        PollRequests(client).ask([fleet.nodes["bbb1"].id])
        await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) == 2)
    assert len(fleet.requests("bbb2", "getMeetings")) == 1


async def test_a_request_during_a_poll_causes_another_poll(
    settings: Settings, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1")
    fleet.misbehave("bbb1", "slow", seconds=0.5, calls=["getMeetings"])
    async with running(seldom(settings)):
        await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) == 1)
        PollRequests(client).ask([fleet.nodes["bbb1"].id])
        await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) == 2)


async def test_a_new_a_changed_and_a_removed_node_are_noticed_on_request(
    settings: Settings, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1")
    async with running(seldom(settings)):
        await until_async(lambda: len(fleet.snapshots.all()) == 1)
        await fleet.add("bbb2")
        PollRequests(client).ask()
        await until_async(lambda: len(fleet.snapshots.all()) == 2)
        wrong = node_rows.Declaration(name="bbb1", url=fleet.nodes["bbb1"].url, secret="another-secret-by-now")
        node_rows.change(fleet.rows, fleet.nodes["bbb1"], wrong)
        PollRequests(client).ask()
        await until_async(lambda: fleet.observed()["bbb1"] == (ObservedState.SUSPECT, "checksum"))
        node_rows.remove(fleet.rows, fleet.nodes["bbb1"])
        PollRequests(client).ask()
        await until_async(lambda: fleet.snapshots.all().keys() == {fleet.nodes["bbb2"].id})


async def test_a_running_poller_never_undoes_that_a_node_is_disabled(settings: Settings, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    async with running(often(settings)):
        await until_async(lambda: len(fleet.observed()) == 2)
        for number in range(6):
            node_rows.set_admin_state(fleet.rows, "bbb1", AdminState.ENABLED)
            node_rows.set_admin_state(fleet.rows, "bbb1", AdminState.DISABLED)
            fault = fleet.misbehave("bbb1", "refuse") if number % 2 else None
            seen = len(fleet.requests("bbb1", "getMeetings"))
            await until_async(lambda before=seen: len(fleet.requests("bbb1", "getMeetings")) > before + 1)  # type: ignore[misc]
            assert node_rows.by_name(fleet.rows, "bbb1").admin_state is AdminState.DISABLED
            if fault:
                fleet.servers["bbb1"].mend(fault.number)


async def test_stopping_does_not_wait_for_a_hung_node(settings: Settings, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.misbehave("bbb1", "hang")
    async with running(replace(settings, poll_timeout=600.0)):
        await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) == 1)
        left = time.monotonic()
    assert time.monotonic() - left < 20


async def test_a_stopped_poller_leaves_the_lease_to_the_next(settings: Settings, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    async with running(seldom(settings)):
        await until_async(lambda: len(fleet.snapshots.all()) == 1)
        (first,) = fleet.snapshots.all().values()
    async with running(seldom(settings)):
        await until_async(lambda: next(iter(fleet.snapshots.all().values())).fencing > first.fencing)


async def test_polling_survives_a_wiped_and_a_restarted_redis(
    settings: Settings, fleet: Fleet, own_redis: Redis
) -> None:
    await fleet.add("bbb1")
    settings = replace(often(settings), redis_url=own_redis.url())
    with redis_client.connect(own_redis.url()) as client:
        fleet.client = client
        async with running(settings):
            await until_async(lambda: len(fleet.snapshots.all()) == 1)
            client.flushall()
            await until_async(lambda: len(fleet.snapshots.all()) == 1)
            own_redis.stop()
            seen = len(fleet.requests("bbb1", "getMeetings"))
            own_redis.start()
            await until_async(lambda: len(fleet.requests("bbb1", "getMeetings")) > seen + 2)
            await until_async(lambda: len(fleet.snapshots.all()) == 1)


async def test_polling_goes_on_while_postgresql_is_away(
    settings: Settings, fleet: Fleet, own_postgresql: PostgreSQL
) -> None:
    await fleet.add("bbb1")
    with connect(own_postgresql.url(), autocommit=True) as connection:
        node = fleet.nodes["bbb1"]
        declared = node_rows.Declaration(name=node.name, url=node.url, secret=node.secret)
        there = node_rows.add(connection, declared, AdminState.ENABLED)
    async with running(replace(often(settings), database_url=own_postgresql.url())):
        await until_async(lambda: there.id in fleet.snapshots.all())
        own_postgresql.stop()
        away = fleet.snapshots.all()[there.id].poll_started
        created = await fleet.create("bbb1", "course-1")
        await until_async(lambda: created.internal in fleet.snapshots.all()[there.id].participants)
        # The snapshot's age stays right although PostgreSQL cannot be asked for the time.
        assert fleet.snapshots.all()[there.id].poll_started > away
        own_postgresql.start()
        fleet.misbehave("bbb1", "refuse")
        await until_async(lambda: observed_in(own_postgresql) == {there.id: ObservedState.UNREACHABLE}, within=60)


def observed_in(server: PostgreSQL) -> dict[int, ObservedState]:
    with connect(server.url(), autocommit=True) as connection:
        return {number: each.state for number, each in node_rows.observations(connection).items()}
