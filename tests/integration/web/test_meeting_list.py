"""getMeetings: from polls and rows, at once, whatever a node does."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import redis
import requests

from balancer.core.nodes import ObservedState
from balancer.storage.redis import keys
from tests.eventually import until
from tests.integration.web.cluster import NODE_SECRET, Cluster, sign
from tests.integration.web.conftest import ClusterMaker


def listed(cluster: Cluster, **parameters: str) -> dict[str, Element]:
    answer = cluster.call("getMeetings", **parameters)
    return {meeting.findtext("meetingID", ""): meeting for meeting in answer.root.iterfind("meetings/meeting")}


def test_without_meetings_the_list_is_there_and_empty(cluster: Cluster) -> None:
    answer = cluster.call("getMeetings")
    assert "<meetings/>" in answer.response.text
    assert (answer.success, answer.key) == (True, "noMeetings")


def test_before_and_after_a_poll_a_meeting_looks_the_same(cluster: Cluster) -> None:
    cluster.create(
        "course-1",
        name="Übung <😀>",
        attendeePW="a&b",
        moderatorPW="mod",
        record="true",
        meta_Origin="<lms>",
        maxParticipants="9",
    )
    young = listed(cluster)["course-1"]
    cluster.poll()
    polled = listed(cluster)["course-1"]
    home = cluster.nodes[cluster.home("course-1")]
    answer = requests.get(f"{home.url}getMeetings?checksum={sign('getMeetings', '', NODE_SECRET)}", timeout=10)
    (own,) = defusedxml.ElementTree.fromstring(answer.content).iterfind("meetings/meeting")
    assert [element.tag for element in young] == [element.tag for element in polled] == [each.tag for each in own]
    changing = {"startTime", "metadata", "attendees"}
    for element in own:
        if element.tag not in changing:
            assert young.findtext(element.tag) == polled.findtext(element.tag) == element.text, element.tag
    assert {each.tag: each.text for each in young.iterfind("metadata/*")}.items() <= {
        each.tag: each.text for each in own.iterfind("metadata/*")
    }.items()


def test_meetings_of_all_nodes_are_listed(cluster: Cluster) -> None:
    for number in range(6):
        cluster.create(f"course-{number}")
    cluster.poll()
    for number in range(6, 9):
        cluster.create(f"course-{number}")
    assert listed(cluster).keys() == {f"course-{number}" for number in range(9)}


def test_a_dead_node_costs_neither_time_nor_its_meetings(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.create("course-2")
    cluster.poll()
    home = cluster.home("course-1")
    cluster.misbehave(home, "hang")
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(minutes=10))
    asked = len(cluster.requests(home, "getMeetings"))
    assert listed(cluster).keys() == {"course-1", "course-2"}
    assert len(cluster.requests(home, "getMeetings")) == asked
    cluster.mend(home)


def test_a_meeting_that_no_poll_saw_before_its_node_went_away_stays(cluster: Cluster, redis_url: str) -> None:
    cluster.create("course-1", record="true")
    home = cluster.home("course-1")
    young = listed(cluster)["course-1"]
    cluster.misbehave(home, "refuse")
    cluster.poll()
    (row,) = cluster.rows("course-1")
    with redis.Redis.from_url(redis_url) as client:  # as when its time is over
        assert client.delete(keys.initial_listing(row["tenant_id"], row["internal_meeting_id"])) == 1
    known = listed(cluster)["course-1"]
    assert [element.tag for element in known] == [element.tag for element in young]
    for told in ("internalMeetingID", "createTime", "createDate", "recording", "startTime", "participantCount"):
        assert known.findtext(told) == young.findtext(told), told
    assert cluster.call("getMeetings").response.headers["X-Oldest-Poll-Seconds"].isdecimal()


def test_after_redis_was_wiped_the_very_next_answer_lists_what_runs(cluster: Cluster, redis_url: str) -> None:
    cluster.create("course-1")
    cluster.create("course-2")
    cluster.poll()
    cluster.misbehave(cluster.home("course-1"), "refuse")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert listed(cluster).keys() == {"course-1", "course-2"}
    assert "X-Oldest-Poll-Seconds" not in cluster.call("getMeetings").response.headers
    cluster.poll()  # of the other one's node
    assert listed(cluster).keys() == {"course-1", "course-2"}


def test_a_meeting_that_its_node_ends_is_listed_no_more(cluster: Cluster, redis_url: str) -> None:
    cluster.create("course-1")
    cluster.poll()
    home = cluster.home("course-1")
    assert cluster.call("end", meetingID="course-1").success
    assert listed(cluster) == {}
    cluster.misbehave(home, "refuse")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert listed(cluster) == {}
    assert [state for _, state in cluster.states("course-1")] == ["running"]


def test_a_meeting_that_goes_on_minutes_after_an_end_is_listed_again(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.poll()
    cluster.execute("UPDATE meetings SET end_requested_at = clock_timestamp()")
    assert listed(cluster) == {}
    cluster.execute("UPDATE meetings SET end_requested_at = clock_timestamp() - interval '3 minutes'")
    assert listed(cluster).keys() == {"course-1"}
    assert cluster.call("end", meetingID="course-1").success
    assert listed(cluster) == {}


def test_a_meeting_that_its_node_lost_is_listed_no_more(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.poll()
    cluster.restart(cluster.home("course-1"))
    cluster.poll()
    assert listed(cluster) == {}


def test_meetings_that_we_did_not_place_belong_to_no_tenant(cluster: Cluster) -> None:
    query = "meetingID=foreign&name=Foreign"
    signature = sign("create", query, NODE_SECRET)
    requests.get(f"{cluster.nodes['bbb1'].url}create?{query}&checksum={signature}", timeout=10)
    cluster.create("course-1")
    cluster.poll()
    assert listed(cluster).keys() == {"course-1"}


def test_breakout_rooms_are_listed_with_their_parent(cluster: Cluster) -> None:
    created = cluster.create("course-1", **{"meta_bbb-meeting-size-hint": "1"})
    home = cluster.nodes[cluster.home("course-1")]
    query = (
        f"meetingID=room-1&name=Room&isBreakout=true&sequence=1&parentMeetingID={created['internalMeetingID']}"
        "&freeJoin=true"
    )
    answer = requests.get(f"{home.url}create?{query}&checksum={sign('create', query, NODE_SECRET)}", timeout=10)
    assert "SUCCESS" in answer.text, answer.text
    cluster.poll()
    assert listed(cluster).keys() == {"course-1", "room-1"}


def test_the_age_of_the_oldest_poll_is_reported(cluster: Cluster) -> None:
    answer = cluster.call("getMeetings")
    assert 0 <= int(answer.response.headers["X-Oldest-Poll-Seconds"]) < 60


def test_without_redis_the_failure_is_clear(cluster_on, database_url: str, own_redis) -> None:  # type: ignore[no-untyped-def]
    cluster = cluster_on(database_url, own_redis.url())
    cluster.add("bbb1")
    own_redis.stop()
    assert cluster.call("getMeetings").key == "internalError"


def count(cluster: Cluster, **parameters: str) -> dict[str, str]:
    """Users by meetingID."""
    return {name: each.findtext("participantCount", "") for name, each in listed(cluster, **parameters).items()}


def test_live_lists_what_no_poll_has_seen(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.create("course-2")
    cluster.poll()
    one, other = cluster.home("course-1"), cluster.home("course-2")
    assert one != other
    cluster.let_in(one, "course-1", 3)
    cluster.restart(other)
    assert count(cluster) == {"course-1": "0", "course-2": "0"}
    assert count(cluster, live="true") == {"course-1": "3"}
    assert cluster.call("getMeetings", live="true").response.headers["X-Oldest-Poll-Seconds"] == "0"


def test_live_a_node_that_hangs_stands_as_it_was_polled(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.create("course-2")
    cluster.poll()
    one, other = cluster.home("course-1"), cluster.home("course-2")
    assert one != other
    cluster.let_in(one, "course-1", 3)
    cluster.let_in(other, "course-2", 4)
    cluster.misbehave(one, "hang", calls=["getMeetings"])
    before = time.monotonic()
    assert count(cluster, live="true") == {"course-1": "0", "course-2": "4"}
    assert time.monotonic() - before < 4


def test_live_calls_at_one_time_share_a_round_and_too_many_do_without(
    cluster_on: ClusterMaker, database_url: str, redis_url: str
) -> None:
    cluster = cluster_on(database_url, redis_url, node_info_timeout="30")
    cluster.add("bbb1", "bbb2")
    cluster.poll()
    cluster.create("course-1")
    cluster.poll()
    home = cluster.home("course-1")
    cluster.let_in(home, "course-1", 3)
    for name in cluster.nodes:
        cluster.misbehave(name, "slow", calls=["getMeetings"], seconds=25)
    polled = len(cluster.requests(home, "getMeetings"))
    callers = cluster.settings.web_threads // 4 + 4
    with ThreadPoolExecutor(callers) as pool:
        asked = [pool.submit(count, cluster, live="true") for _ in range(callers)]
        until(lambda: sum(each.done() for each in asked) == 4, within=20)
        for name in cluster.nodes:
            cluster.mend(name)
        found = [each.result() for each in asked]
    assert {"course-1": "3"} in found
    assert {"course-1": "0"} in found
    assert len(cluster.requests(home, "getMeetings")) <= polled + 2


def test_live_without_postgresql_is_as_polled(cluster_on, own_postgresql, redis_url: str) -> None:  # type: ignore[no-untyped-def]
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    cluster.poll()
    own_postgresql.stop()
    assert count(cluster, live="true") == {"course-1": "0"}


def test_without_postgresql_the_answer_is_not_an_empty_list(cluster_on, own_postgresql, redis_url: str) -> None:  # type: ignore[no-untyped-def]
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    own_postgresql.stop()
    assert cluster.call("getMeetings").key == "internalError"
