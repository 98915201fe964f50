"""One process's outlook, which many creates use at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancer.core.nodes import Snapshot
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.outlook import OutlookCache
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.snapshots import Snapshots


class SlowSnapshots(Snapshots):
    """Snapshots whose second and later reads wait until ``go``."""

    def __init__(self, client: redis_client.Redis, quick: int = 1) -> None:
        """quick: reads that do not wait."""
        super().__init__(client)
        self.waiting, self.go, self._quick = threading.Event(), threading.Event(), quick

    def all(self) -> dict[int, Snapshot]:
        self._quick -= 1
        if self._quick < 0:
            self.waiting.set()
            assert self.go.wait(10)
        return super().all()


Make = Callable[..., OutlookCache]


@pytest.fixture
def cache(settings: Settings, database: Database) -> Make:
    def make(snapshots: Snapshots, **seconds: float) -> OutlookCache:
        return OutlookCache(settings, snapshots, database, **seconds)

    return make


@pytest.fixture
def slow(client: redis_client.Redis) -> Iterator[SlowSnapshots]:
    snapshots = SlowSnapshots(client)
    yield snapshots
    snapshots.go.set()


def test_a_store_that_is_slow_holds_up_one_create(cache: Make, slow: SlowSnapshots) -> None:
    outlooks = cache(slow, life=-1)
    before = outlooks.outlook()
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(outlooks.outlook)
        assert slow.waiting.wait(10)
        assert outlooks.outlook() is before
        slow.go.set()
        assert refreshed.result(10) is not before


def test_no_thread_waits_for_long_for_a_read_that_hangs(cache: Make, client: redis_client.Redis) -> None:
    hanging = SlowSnapshots(client, quick=0)
    outlooks = cache(hanging, timeout=0.1)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(outlooks.outlook)
        try:
            assert hanging.waiting.wait(10)
            with pytest.raises(StorageUnavailableError, match="another thread's read"):
                outlooks.outlook()
        finally:
            hanging.go.set()
        assert outlooks.outlook() is read.result(10)


def test_an_outlook_that_did_not_serve_is_replaced_once_for_all_that_had_it(
    cache: Make, client: redis_client.Redis
) -> None:
    outlooks = cache(Snapshots(client))
    before = outlooks.outlook()
    assert outlooks.outlook() is before
    after = outlooks.outlook(after=before)
    assert after is not before
    assert outlooks.outlook(after=before) is after
    assert not outlooks.is_recent(before)


@pytest.mark.parametrize(("seconds", "recent"), [(10, True), (-1, False)])
def test_an_outlook_is_recent_for_a_moment(
    cache: Make, client: redis_client.Redis, seconds: float, recent: bool
) -> None:
    outlooks = cache(Snapshots(client), recent=seconds)
    assert outlooks.is_recent(outlooks.outlook()) is recent


def test_no_thread_goes_on_with_an_old_outlook(cache: Make, slow: SlowSnapshots) -> None:
    outlooks = cache(slow, life=-1, usable=-1, timeout=0.1)
    before = outlooks.outlook()
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(outlooks.outlook)
        assert slow.waiting.wait(10)
        with pytest.raises(StorageUnavailableError):
            outlooks.outlook()
        slow.go.set()
        assert refreshed.result(10) is not before
