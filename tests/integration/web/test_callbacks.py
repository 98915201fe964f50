"""A node calls back when a meeting has ended, and is polled at once."""

import socket
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.serving import make_server

from balancer.core.callbacks import MEETING_ENDED
from tests.integration.web.cluster import NODE_SECRET, SECRET, Cluster, sign
from tests.integration.web.conftest import ClusterMaker


def callback_url(cluster: Cluster, meeting_id: str) -> str:
    """The meetingEndedURL that the meeting's node was given."""
    (seen,) = cluster.requests(cluster.home(meeting_id), "create")
    (url,) = parse_qs(seen.query)["meetingEndedURL"]
    return str(url)


def target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def take_poll_requests(cluster: Cluster) -> list[int]:
    """Ids of the nodes for which polls were requested; takes the requests."""
    found = []
    while (node_id := cluster.services.polls.take(0.05)) is not None:
        found.append(node_id)
    return found


def test_the_node_is_given_an_address_of_ours(cluster: Cluster) -> None:
    cluster.create("course-1")
    url = callback_url(cluster, "course-1")
    assert url.startswith(f"https://bbb.example.org{MEETING_ENDED}?token=1.")
    assert SECRET not in url


def test_a_front_end_s_own_address_is_left_alone(cluster: Cluster) -> None:
    cluster.create("course-1", meetingEndedURL="https://moodle.example.org/ended?x=1")
    assert callback_url(cluster, "course-1") == "https://moodle.example.org/ended?x=1"


def test_a_callback_has_the_meeting_s_node_polled_however_often_it_comes(cluster: Cluster) -> None:
    cluster.create("course-1")
    where = target(callback_url(cluster, "course-1"))
    take_poll_requests(cluster)
    for _ in range(2):
        response = cluster.app.test_client().get(where)
        assert (response.status_code, response.data) == (204, b"")
    assert take_poll_requests(cluster) == [cluster.nodes[cluster.home("course-1")].id] * 2
    # A callback alone ends nothing.
    assert cluster.states("course-1") == [(cluster.home("course-1"), "running")]


@pytest.mark.parametrize("change", ["", "token", "forged"])
def test_a_caller_without_a_token_gets_the_same_answer_and_nothing_else(cluster: Cluster, change: str) -> None:
    cluster.create("course-1")
    right = target(callback_url(cluster, "course-1"))
    take_poll_requests(cluster)
    where = {"": MEETING_ENDED, "token": f"{MEETING_ENDED}?token=x", "forged": f"{right[:-4]}0000"}[change]
    good, bad = cluster.app.test_client().get(right), cluster.app.test_client().get(where)
    assert (bad.status_code, bad.data, list(bad.headers)) == (good.status_code, good.data, list(good.headers))
    assert len(take_poll_requests(cluster)) == 1


def test_after_the_end_it_is_answered_as_before(cluster: Cluster) -> None:
    cluster.create("course-1")
    home, where = cluster.home("course-1"), target(callback_url(cluster, "course-1"))
    cluster.restart(home)
    cluster.poll()
    assert cluster.states("course-1") == [(home, "ended")]
    take_poll_requests(cluster)
    assert cluster.app.test_client().get(where).status_code == 204
    assert take_poll_requests(cluster) == []


def test_with_both_stores_away_a_node_is_not_kept_waiting_in_vain(
    cluster_on: ClusterMaker, own_postgresql: Any, own_redis: Any
) -> None:
    cluster = cluster_on(own_postgresql.url(), own_redis.url())
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    where = target(callback_url(cluster, "course-1"))
    own_postgresql.stop()
    own_redis.stop()
    assert cluster.app.test_client().get(where).status_code == 204


def test_a_meeting_that_a_node_ends_by_itself_is_looked_at_at_once(
    cluster_on: ClusterMaker, database_url: str, redis_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        cluster = cluster_on(database_url, redis_url, public_url=f"http://127.0.0.1:{port}")
        cluster.add("bbb1")
        cluster.poll()
        server = make_server("127.0.0.1", port, cluster.app, threaded=True, fd=listener.fileno())
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            cluster.create("course-1")
            take_poll_requests(cluster)
            query = "meetingID=course-1"
            signed = f"{cluster.nodes['bbb1'].url}end?{query}&checksum={sign('end', query, NODE_SECRET)}"
            requests.get(signed, timeout=5).raise_for_status()
            assert cluster.services.polls.take(4) == cluster.nodes["bbb1"].id
        finally:
            server.shutdown()
            thread.join()
    cluster.poll()
    assert cluster.states("course-1") == [("bbb1", "ended")]
