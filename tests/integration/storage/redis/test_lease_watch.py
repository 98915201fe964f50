"""Watching a lease with a real Redis."""

import pytest

from balancer.errors import StorageUnavailableError
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from balancer.storage.redis.lease_watch import LeaseWatch
from lab.services import Redis
from tests.manual_clock import Clock


def test_a_check_counts_for_a_while_in_which_the_lease_may_change_hands(
    client: redis_client.Redis, clock: Clock
) -> None:
    watch = LeaseWatch("poller", client, valid_for=90, clock=clock)
    watch.check()
    assert not watch.held
    client.set(keys.lease("poller"), "first")
    assert not watch.held  # only a check asks Redis
    watch.check()
    client.delete(keys.lease("poller"))
    clock.now += 89
    watch.check()
    assert watch.held
    client.set(keys.lease("poller"), "second")
    watch.check()
    clock.now += 89
    assert watch.held
    clock.now += 2
    assert not watch.held


def test_a_check_counts_for_a_while_in_which_redis_may_be_away(clock: Clock, own_redis: Redis) -> None:
    with redis_client.connect(own_redis.url()) as client:
        watch = LeaseWatch("poller", client, valid_for=90, clock=clock)
        client.set(keys.lease("poller"), "holder")
        watch.check()
        own_redis.stop()
        with pytest.raises(StorageUnavailableError, match="Redis"):
            watch.check()
        clock.now += 89
        assert watch.held
        clock.now += 2
        assert not watch.held
