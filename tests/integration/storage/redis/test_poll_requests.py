"""Requests to poll a node at once, in a real Redis."""

import threading

import pytest

from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from balancer.storage.redis.poll_requests import PollRequests


@pytest.fixture
def requests(client: redis_client.Redis) -> PollRequests:
    return PollRequests(client)


def test_requests_come_in_the_order_asked(requests: PollRequests) -> None:
    requests.ask([3, 1])
    requests.ask()
    assert [requests.take(0.1) for _ in range(4)] == [3, 1, 0, None]


def test_a_waiting_poller_is_woken_at_once(requests: PollRequests) -> None:
    timer = threading.Timer(0.1, requests.ask, [[5]])
    timer.start()
    assert requests.take(1.5) == 5
    timer.join()


def test_requests_do_not_pile_up_while_no_poller_runs(requests: PollRequests, client: redis_client.Redis) -> None:
    for _ in range(3):
        requests.ask(range(1, 501))
    assert client.llen(keys.POLL_REQUESTS) == 1000
    requests.clear()
    assert requests.take(0.05) is None
