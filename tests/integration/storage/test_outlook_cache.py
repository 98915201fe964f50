"""Many creates at once, and what polls told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancer.core.nodes import Snapshot
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage import outlook_cache
from balancer.storage.outlook_cache import OutlookCache
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.snapshots import Snapshots


def test_a_store_that_is_slow_holds_up_one_create(
    settings: Settings, client: redis_client.Redis, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    recent = OutlookCache(settings, Snapshots(client), database)
    before = recent.outlook()
    monkeypatch.setattr(outlook_cache, "_LIFE", -1)

    def slow(snapshots: Snapshots) -> dict[int, Snapshot]:
        begun.set()
        assert go.wait(10)
        return {}

    monkeypatch.setattr(Snapshots, "all", slow)
    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(recent.outlook)
        assert begun.wait(10)
        assert recent.outlook() is before
        go.set()
        assert looks.result(10) is not before


def test_nobody_waits_for_long_for_a_look_that_hangs(
    settings: Settings, client: redis_client.Redis, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    recent = OutlookCache(settings, Snapshots(client), database)
    monkeypatch.setattr(outlook_cache, "POOL_TIMEOUT", 0.1)

    def hang(snapshots: Snapshots) -> dict[int, Snapshot]:
        begun.set()
        assert go.wait(10)
        return {}

    monkeypatch.setattr(Snapshots, "all", hang)
    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(recent.outlook)
        try:
            assert begun.wait(10)
            with pytest.raises(StorageUnavailableError, match="another look"):
                recent.outlook()
        finally:
            go.set()
        assert recent.outlook() is looks.result(10)


def test_an_outlook_that_did_not_serve_is_replaced_once_for_all_that_had_it(
    settings: Settings, client: redis_client.Redis, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = OutlookCache(settings, Snapshots(client), database)
    before = recent.outlook()
    assert recent.outlook() is before
    anew = recent.outlook(after=before)
    assert anew is not before
    assert recent.outlook(after=before) is anew
    assert not recent.is_of_just_now(before)
    assert recent.is_of_just_now(anew)
    monkeypatch.setattr(outlook_cache, "_JUST_NOW", -1)
    assert not recent.is_of_just_now(anew)


def test_nobody_goes_on_with_an_old_outlook(
    settings: Settings, client: redis_client.Redis, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = OutlookCache(settings, Snapshots(client), database)
    before = recent.outlook()
    monkeypatch.setattr(outlook_cache, "_LIFE", -1)
    monkeypatch.setattr(outlook_cache, "_OLD", -1)
    looking = threading.Event()
    real = Snapshots.all

    def slow(snapshots: Snapshots) -> dict[int, Snapshot]:
        looking.set()
        time.sleep(0.3)
        return real(snapshots)

    monkeypatch.setattr(Snapshots, "all", slow)
    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(recent.outlook)
        assert looking.wait(10)
        assert recent.outlook() is not before
        assert looks.result(10) is not before
