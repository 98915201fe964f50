"""A Redis that hangs: one caller finds out, the others do not wait. And how many connections it sees."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis

from balancer.errors import StorageUnavailableError
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.whereabouts import Location, Whereabouts
from lab.services import Redis
from tests.integration.web.site import until


@pytest.fixture
def client(own_redis: Redis) -> Iterator[redis_client.Redis]:
    with redis_client.connect(own_redis.url()) as client:
        yield client


@pytest.fixture
def placements(client: redis_client.Redis) -> Whereabouts:
    return Whereabouts(client)


def seconds_to_fail(call: Callable[[], object]) -> float:
    before = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="Redis"):
        call()
    return time.monotonic() - before


def test_only_one_caller_waits_for_a_redis_that_hangs(
    own_redis: Redis, client: redis_client.Redis, placements: Whereabouts
) -> None:
    requests = PollRequests(client)
    place = Location(1, 1, "internal")
    placements.note(1, "course-1", place)
    assert own_redis.process
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    try:
        waits = [seconds_to_fail(lambda: placements.find(1, "course-1")) for _ in range(30)]
        waits += [seconds_to_fail(lambda: requests.ask([1])) for _ in range(3)]
    finally:
        os.kill(own_redis.process.pid, signal.SIGCONT)
    # The timeout once, without a second try.
    assert waits[0] >= client.TIMEOUT * 0.9
    assert sum(waits) < client.TIMEOUT * 2
    deadline = time.monotonic() + 30
    while True:
        try:
            assert placements.find(1, "course-1") == place
            return
        except StorageUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_connection_that_redis_closed_costs_no_command(
    own_redis: Redis, client: redis_client.Redis, placements: Whereabouts
) -> None:
    place = Location(1, 1, "internal")
    placements.note(1, "course-1", place)
    with redis.Redis.from_url(own_redis.url()) as other:
        other.client_kill_filter(_id=client.client_id())
        assert placements.find(1, "course-1") == place
        other.client_kill_filter(_id=client.client_id())
        placements.forget(1, "course-1", 1)
    assert placements.find(1, "course-1") is None


def test_a_thread_has_one_connection_whatever_redis_went_through(
    own_redis: Redis, client: redis_client.Redis, placements: Whereabouts
) -> None:
    for _ in range(2):
        own_redis.stop()
        for _ in range(5):
            with pytest.raises(StorageUnavailableError):
                placements.find(1, "course-1")
        own_redis.start()
        for _ in range(5):
            assert placements.find(1, "course-1") is None
    pool = client.connection_pool
    with redis.Redis.from_url(own_redis.url()) as counting:
        assert (len(counting.client_list()), pool._created_connections) == (2, 1)  # type: ignore[attr-defined]


def test_each_thread_has_a_connection_of_its_own(own_redis: Redis, client: redis_client.Redis) -> None:
    both = threading.Barrier(2)

    def number() -> int:
        both.wait()
        return int(client.client_id())

    with ThreadPoolExecutor(2) as threads:
        assert len({future.result() for future in [threads.submit(number) for _ in range(2)]}) == 2
    client.close()
    with redis.Redis.from_url(own_redis.url()) as counting:
        assert len(counting.client_list()) == 1


def test_connections_that_died_in_silence_cost_one_caller_the_timeout(
    client: redis_client.Redis, placements: Whereabouts
) -> None:
    """As where a firewall has forgotten them: nothing comes back on those that are there, a new one works."""
    timeouts = 0

    def find() -> None:
        assert placements.find(1, "course-1") is None

    def finds() -> bool:
        nonlocal timeouts
        began = time.monotonic()
        try:
            find()
        except StorageUnavailableError:
            timeouts += time.monotonic() - began >= client.TIMEOUT * 0.9
            return False
        return True

    def silence() -> None:
        find()
        client.connection_pool.get_connection().send_command("CLIENT", "REPLY", "OFF")

    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(4)]
        for thread in threads:
            thread.submit(silence).result()
        for thread in threads:
            until(lambda thread=thread: thread.submit(finds).result())
    assert timeouts == 1
