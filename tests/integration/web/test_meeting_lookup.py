"""Copies of placements in Redis that outlived the meeting's node: removed while Redis was away, or copied later."""

from collections.abc import Callable
from typing import Any

import pytest

from balancer.storage.redis.whereabouts import Location
from tests.integration.cli.conftest import Commands
from tests.integration.web.cluster import Answer, Cluster, path, read
from tests.integration.web.conftest import ClusterMaker

TENANT = 1


def insert_document(cluster: Cluster) -> Answer:
    target = path("insertDocument", meetingID="course-1")
    return read(cluster.app.test_client().post(target, data="<modules/>", content_type="text/xml"))


#: Every call about one meeting.
CALLS: dict[str, Callable[[Cluster], Answer]] = {
    "join": lambda cluster: read(cluster.join("course-1")),
    "isMeetingRunning": lambda cluster: cluster.call("isMeetingRunning", meetingID="course-1"),
    "getMeetingInfo": lambda cluster: cluster.call("getMeetingInfo", meetingID="course-1"),
    "end": lambda cluster: cluster.call("end", meetingID="course-1"),
    "sendChatMessage": lambda cluster: cluster.call("sendChatMessage", meetingID="course-1", message="Hello"),
    "insertDocument": insert_document,
}


@pytest.fixture
def stale(cluster: Cluster, commands: Commands) -> Location:
    """The copy of a meeting whose node is removed by now."""
    cluster.create("course-1")
    place = cluster.services.placements.find(TENANT, "course-1")
    assert place
    commands.ok("node", "remove", cluster.home("course-1"), "--force")
    cluster.services.registry.refresh()
    cluster.services.placements.note(TENANT, "course-1", place)
    return place


@pytest.mark.parametrize(
    ("call", "key"),
    [
        ("join", "meetingForciblyEnded"),
        ("getMeetingInfo", "notFound"),
        ("end", "notFound"),
        ("sendChatMessage", "meetingNotFound"),
        ("insertDocument", "notFound"),
    ],
)
@pytest.mark.usefixtures("stale")
def test_a_meeting_whose_node_was_removed_is_over(cluster: Cluster, call: str, key: str) -> None:
    assert CALLS[call](cluster).key == key
    assert cluster.services.placements.find(TENANT, "course-1") is None


@pytest.mark.usefixtures("stale")
def test_a_meeting_whose_node_was_removed_is_not_running(cluster: Cluster) -> None:
    assert CALLS["isMeetingRunning"](cluster)["running"] == "false"


def test_a_meeting_that_was_placed_again_is_found_there(cluster: Cluster, stale: Location) -> None:
    internal = cluster.create("course-1")["internalMeetingID"]
    cluster.services.redis.flushall()
    cluster.services.placements.note(TENANT, "course-1", stale)
    assert cluster.call("getMeetingInfo", meetingID="course-1")["internalMeetingID"] == internal
    cluster.services.placements.note(TENANT, "course-1", stale)
    assert cluster.join("course-1").status_code == 302


@pytest.mark.parametrize("call", CALLS)
def test_while_postgresql_is_away_nothing_is_forgotten(
    cluster_on: ClusterMaker, own_postgresql: Any, redis_url: str, call: str
) -> None:
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1")
    unknown = Location(1, cluster.nodes["bbb1"].id + 1, "i-1")  # to this process: maybe it is a new node's
    cluster.services.placements.note(TENANT, "course-1", unknown)
    own_postgresql.stop()
    assert CALLS[call](cluster).key == "internalError"
    assert cluster.services.placements.find(TENANT, "course-1") == unknown
