"""A Redis that hangs costs one caller the timeout; connections that died are replaced."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from balancer.errors import StorageUnavailableError
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.whereabouts import Location, Whereabouts
from lab.services import Redis
from tests.eventually import until

PLACE = Location(1, 1, "internal")


@pytest.fixture
def client(own_redis: Redis) -> Iterator[redis_client.Redis]:
    with redis_client.connect(own_redis.url()) as client:
        yield client


@pytest.fixture
def whereabouts(client: redis_client.Redis) -> Whereabouts:
    return Whereabouts(client)


@contextmanager
def hanging(server: Redis) -> Iterator[None]:
    assert server.process
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def seconds_to_fail(call: Callable[[], object]) -> float:
    before = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="Redis"):
        call()
    return time.monotonic() - before


def test_only_one_caller_waits_for_a_redis_that_hangs(
    own_redis: Redis, client: redis_client.Redis, whereabouts: Whereabouts
) -> None:
    requests = PollRequests(client)
    whereabouts.note(1, "course-1", PLACE)
    with hanging(own_redis):
        waits = [seconds_to_fail(lambda: whereabouts.find(1, "course-1")) for _ in range(30)]
        waits += [seconds_to_fail(lambda: requests.ask([1])) for _ in range(3)]
    # The timeout once, without a second attempt.
    assert waits[0] >= redis_client.TIMEOUT * 0.9
    assert sum(waits) < redis_client.TIMEOUT * 2
    deadline = time.monotonic() + 30
    while True:
        try:
            assert whereabouts.find(1, "course-1") == PLACE
            return
        except StorageUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_after_a_pause_one_caller_tries_again_and_the_others_fail_at_once(
    own_redis: Redis, whereabouts: Whereabouts
) -> None:
    def seconds() -> float:
        return seconds_to_fail(lambda: whereabouts.find(1, "course-1"))

    with hanging(own_redis), ThreadPoolExecutor(8) as callers:
        seconds()
        time.sleep(redis_client.PAUSE)
        waits = [each.result() for each in [callers.submit(seconds) for _ in range(8)]]
    assert sum(wait >= redis_client.TIMEOUT * 0.9 for wait in waits) == 1, waits


def test_a_connection_that_redis_closed_costs_no_command(
    own_redis: Redis, client: redis_client.Redis, whereabouts: Whereabouts
) -> None:
    whereabouts.note(1, "course-1", PLACE)
    with redis.Redis.from_url(own_redis.url()) as other:
        other.client_kill_filter(_id=client.client_id())
        assert whereabouts.find(1, "course-1") == PLACE
        other.client_kill_filter(_id=client.client_id())
        whereabouts.forget(1, "course-1", 1)
    assert whereabouts.find(1, "course-1") is None


def test_a_thread_uses_one_connection_even_after_outages(own_redis: Redis, whereabouts: Whereabouts) -> None:
    for _ in range(2):
        own_redis.stop()
        for _ in range(5):
            with pytest.raises(StorageUnavailableError):
                whereabouts.find(1, "course-1")
        own_redis.start()
        for _ in range(5):
            assert whereabouts.find(1, "course-1") is None
    assert connections(own_redis) == 1


def test_closing_the_client_closes_its_connections(own_redis: Redis, client: redis_client.Redis) -> None:
    block_at_once(client, 2)
    assert connections(own_redis) == 2
    client.close()
    assert connections(own_redis) == 0


def block_at_once(client: redis_client.Redis, threads: int) -> None:
    """A command in each thread, at the same time, so that each needs a connection. Raises redis.RedisError."""
    all_ready = threading.Barrier(threads)

    def block(_number: int) -> None:
        all_ready.wait()
        client.blpop(["nothing"], timeout=0.5)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(block, range(threads)))


def connections(server: Redis) -> int:
    """How many clients Redis has, without this one."""
    with redis.Redis.from_url(server.url()) as counting:
        return len(counting.client_list()) - 1


def test_connections_that_died_silently_cost_one_caller_the_timeout(
    client: redis_client.Redis, whereabouts: Whereabouts
) -> None:
    """As if a firewall had dropped them: existing connections get no answer, new ones work."""
    timeouts = 0

    def finds() -> bool:
        nonlocal timeouts
        began = time.monotonic()
        try:
            assert whereabouts.find(1, "course-1") is None
        except StorageUnavailableError:
            timeouts += time.monotonic() - began >= redis_client.TIMEOUT * 0.9
            return False
        return True

    pool = client.connection_pool
    silenced = [pool.get_connection() for _ in range(4)]
    for connection in silenced:
        connection.send_command("CLIENT", "REPLY", "OFF")
        pool.release(connection)
    until(finds)
    assert timeouts == 1
    block_at_once(client, 4)
