"""create: one meeting for an id, on the right node, whatever happens at the same time."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from balancer.core.nodes import AdminState
from balancer.storage.postgresql.database import connect
from balancer.storage.redis.poll_requests import PollRequests
from tests.eventually import until
from tests.integration.web.cluster import Answer, Cluster
from tests.integration.web.conftest import ClusterMaker


def at_once(count: int, act: Any) -> list[Any]:
    """Results of ``act(number)`` from as many threads, begun together."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def test_sixteen_creates_of_one_id_make_one_meeting(cluster: Cluster) -> None:
    answers: list[Answer] = at_once(16, lambda _: cluster.create("course-1"))
    assert all(answer.success for answer in answers)
    assert len({answer["internalMeetingID"] for answer in answers}) == 1
    assert len({(answer["createTime"], answer["attendeePW"], answer["moderatorPW"]) for answer in answers}) == 1
    assert Counter(answer.key for answer in answers)["duplicateWarning"] == 15
    assert cluster.states("course-1") == [(cluster.home("course-1"), "running")]


def test_racing_creates_with_different_passwords_make_one_meeting_too(cluster: Cluster) -> None:
    answers: list[Answer] = at_once(
        8, lambda number: cluster.create("course-1", attendeePW=f"att{number}", moderatorPW=f"mod{number}")
    )
    assert Counter(answer.key for answer in answers) == {"": 1, "idNotUnique": 7}
    assert cluster.states("course-1") == [(cluster.home("course-1"), "running")]


def test_forty_creates_right_after_a_poll_spread_evenly(cluster: Cluster) -> None:
    cluster.add("bbb3", "bbb4")
    cluster.poll()
    at_once(8, lambda thread: [cluster.create(f"course-{thread}-{number}") for number in range(5)])
    assert {name: len(cluster.meetings(name)) for name in cluster.nodes} == dict.fromkeys(cluster.nodes, 10)


@pytest.mark.parametrize("state", [AdminState.DISABLED, AdminState.DRAINING])
def test_no_meeting_is_placed_on_a_node_out_of_service(cluster: Cluster, state: AdminState) -> None:
    with_cached_state = cluster.services.registry.nodes()
    cluster.execute("UPDATE nodes SET admin_state = %s WHERE name = 'bbb1'", state.value)
    assert with_cached_state[cluster.nodes["bbb1"].id].admin_state is AdminState.ENABLED
    for number in range(4):
        assert cluster.create(f"course-{number}").success
    assert (len(cluster.meetings("bbb1")), len(cluster.meetings("bbb2"))) == (0, 4)


def test_a_node_disabled_while_creates_go_on_gets_none_after_that(cluster: Cluster) -> None:
    stop = threading.Event()
    made: list[str] = []

    def create_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            if cluster.create(f"course-{number}").success:
                made.append(f"course-{number}")

    with ThreadPoolExecutor(1) as thread:
        creating = thread.submit(create_on)
        try:
            while len(made) < 6:
                creating.done() and creating.result()
            cluster.execute("UPDATE nodes SET admin_state = 'disabled' WHERE name = 'bbb1'")
            # A node may still create meetings that were reserved before the command. They are not handed out.
            before = {row["meeting_id"] for row in _running_on(cluster, "bbb1")}
            while len(made) < 16:
                creating.done() and creating.result()
        finally:
            stop.set()
        creating.result()
    assert {row["meeting_id"] for row in _running_on(cluster, "bbb1")} <= before


def _running_on(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number in range(1, 60):
        rows += [
            row for row in cluster.rows(f"course-{number}") if row["node_name"] == name and row["state"] == "running"
        ]
    return rows


def test_a_meeting_created_after_its_node_was_disabled_is_not_handed_out(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "slow", calls=["create"], seconds=1.5)
    with ThreadPoolExecutor(1) as thread:
        creating = thread.submit(cluster.create, "course-1")
        while cluster.states("course-1") != [("bbb1", "creating")]:
            assert not creating.done()
        cluster.execute("UPDATE nodes SET admin_state = 'draining' WHERE name = 'bbb1'")
        cluster.mend("bbb1")
        answer = creating.result()
    assert answer.success
    assert cluster.states("course-1") == [("bbb1", "lost"), ("bbb2", "running")]
    cluster.poll()
    assert cluster.home("course-1") == "bbb2"


def test_a_create_of_a_meeting_that_runs_waits_for_no_placement(
    cluster: Cluster, cluster_on: ClusterMaker, database_url: str, redis_url: str
) -> None:
    internal = cluster.create("course-1")["internalMeetingID"]
    fresh = cluster_on(database_url, redis_url)  # a worker that has not met the meeting
    with connect(database_url) as placing:
        placing.execute("SELECT pg_advisory_xact_lock(x'6262625F706C6163'::bigint)")
        assert fresh.create("course-1")["internalMeetingID"] == internal


def test_two_tenants_equal_ids_never_share_a_node(cluster: Cluster) -> None:
    cluster.add_meeting_of_another_tenant("course-1", "bbb1", expected_users=1)
    for number in range(3):
        cluster.create(f"filling-bbb2-{number}", **{"meta_bbb-meeting-size-hint": "200"})
    assert cluster.create("course-1").success
    assert cluster.home("course-1") == "bbb2"
    cluster.set_state("bbb2", AdminState.DRAINING)
    cluster.call("end", meetingID="course-1")
    while cluster.call("end", meetingID="course-1").success:
        pass
    assert cluster.create("course-1").key == "internalError"
    assert "course-1" not in cluster.meetings("bbb1")


def test_another_tenant_s_lost_meeting_is_not_handed_out_as_ours(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    theirs = cluster.create("course-1")
    cluster.execute("INSERT INTO tenants (name) VALUES ('other')")
    cluster.execute(
        "UPDATE meetings SET tenant_id = (SELECT id FROM tenants WHERE name = 'other'), state = 'lost',"
        " finished_at = now() - interval '2 days'"
    )
    cluster.services.redis.flushall()
    cluster.poll()
    ours = cluster.create("course-1")
    assert ours.success
    assert ours["internalMeetingID"] != theirs["internalMeetingID"]
    assert cluster.states("course-1")[-1] == ("bbb2", "running")


def test_a_node_that_refuses_connections_is_left_for_the_next(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.stop("bbb1")
    assert cluster.create("course-1").success
    assert cluster.states("course-1") == [("bbb1", "ended"), ("bbb2", "running")]
    assert "create failed" in " ".join(cluster.causes("course-1"))


@pytest.mark.parametrize("fault", ["hang", "html", "truncated", "error", "refuse", "cut", "checksum"])
def test_a_node_that_gives_no_answer_is_left_for_the_next_and_what_it_made_is_closed(
    cluster: Cluster, fault: str
) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    # The worst case: the node does what it was asked, and does not say so.
    carried_out = {"after": True} if fault in ("hang", "error", "refuse") else {}
    cluster.misbehave("bbb1", fault, calls=["create"], **carried_out)
    answer = cluster.create("course-1")
    assert answer.success
    assert cluster.states("course-1") == [("bbb1", "lost"), ("bbb2", "running")]
    cluster.mend("bbb1")
    cluster.poll()
    assert cluster.home("course-1") == "bbb2"
    assert cluster.create("course-1")["internalMeetingID"] == answer["internalMeetingID"]


def test_a_create_gives_up_after_two_hanging_nodes(cluster: Cluster) -> None:
    cluster.add("bbb3")
    cluster.poll()
    for name in cluster.nodes:
        cluster.misbehave(name, "hang", calls=["create"])
    assert cluster.create("course-1").key == "internalError"
    assert [state for _, state in cluster.states("course-1")] == ["lost", "lost"]


def test_without_any_node_the_failure_is_bbb_s(cluster: Cluster) -> None:
    for name in cluster.nodes:
        cluster.set_state(name, AdminState.DISABLED)
    answer = cluster.create("course-1")
    assert (answer.success, answer.key, answer["message"]) == (
        False,
        "internalError",
        "Could not find any available servers. (2 nodes disabled)",
    )
    assert cluster.rows("course-1") == []


def test_a_node_s_own_refusal_is_passed_on_and_leaves_nothing(cluster: Cluster) -> None:
    answer = cluster.create("course-1", voiceBridge="words")
    assert (answer.key, answer["message"]) == ("validationError", "Voice bridge must be an integral value")
    assert [state for _, state in cluster.states("course-1")] == ["ended"]
    assert cluster.create("course-1").success


def test_the_errors_shape_of_a_voice_bridge_in_use_is_passed_on_as_it_is(cluster: Cluster) -> None:
    cluster.set_state("bbb2", AdminState.DISABLED)
    cluster.create("course-1", voiceBridge="71234")
    answer = cluster.create("course-2", voiceBridge="71234")
    assert answer["errors/error/key"] == "nonUniqueVoiceBridge"
    assert [state for _, state in cluster.states("course-2")] == ["ended"]


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"meetingID": ""}, "missingParamMeetingID"),
        ({"meetingID": "x"}, "sizeError"),
        ({"meetingID": "x" * 257}, "sizeError"),
        ({"meetingID": "a,b"}, "validationError"),
        ({"meetingID": " course-1"}, "validationError"),
        ({"meetingID": "course\n1"}, "validationError"),
        ({}, "missingParamMeetingID"),
    ],
)
def test_a_meeting_id_that_bbb_refuses_reaches_no_node(cluster: Cluster, parameters: dict[str, str], key: str) -> None:
    assert cluster.call("create", name="A meeting", **parameters).key == key
    assert not cluster.requests("bbb1", "create")
    assert not cluster.requests("bbb2", "create")


def test_an_ended_meeting_is_created_again_on_its_node(cluster: Cluster) -> None:
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.restart(home)
    second = cluster.create("course-1")
    assert second.success
    assert second["internalMeetingID"] != first["internalMeetingID"]
    assert cluster.states("course-1") == [(home, "ended"), (home, "running")]
    assert cluster.call("getMeetingInfo", meetingID="course-1")["createTime"] == second["createTime"]


@pytest.mark.parametrize("state", [AdminState.DRAINING, AdminState.DISABLED])
def test_on_a_node_out_of_service_a_running_meeting_goes_on(cluster: Cluster, state: AdminState) -> None:
    first = cluster.create("course-1")
    cluster.set_state(cluster.home("course-1"), state)
    again = cluster.create("course-1")
    assert (again.key, again["internalMeetingID"]) == ("duplicateWarning", first["internalMeetingID"])


@pytest.mark.parametrize("state", [AdminState.DRAINING, AdminState.DISABLED])
def test_on_a_node_out_of_service_no_meeting_is_created_again(cluster: Cluster, state: AdminState) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.set_state(home, state)
    cluster.restart(home)
    assert cluster.create("course-1").key == ""
    other = cluster.home("course-1")
    assert other != home
    assert cluster.states("course-1") == [(home, "ended"), (other, "running")]


def test_a_create_that_a_dead_worker_left_half_done_is_finished_by_the_next(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.execute(
        "UPDATE meetings SET state = 'creating', internal_meeting_id = NULL, create_time = NULL, created_at = NULL"
    )
    assert cluster.create("course-1").key == "duplicateWarning"
    assert cluster.states("course-1") == [(home, "running")]


def test_a_lost_meeting_that_its_node_still_has_is_taken_back(cluster: Cluster) -> None:
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now()")
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = %s", home)
    again = cluster.create("course-1")
    assert again["internalMeetingID"] == first["internalMeetingID"]
    assert cluster.states("course-1") == [(home, "running"), (home, "ended")]


def test_one_that_a_poll_takes_back_while_it_is_moved_is_handed_out(cluster: Cluster) -> None:
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now()")
    with connect(cluster.settings.database_url) as poll, ThreadPoolExecutor(1) as front_end:
        poll.execute("UPDATE meetings SET state = 'running', finished_at = NULL")
        again = front_end.submit(cluster.create, "course-1")
        until(lambda: waits_for_a_lock(cluster))
        poll.commit()
        assert again.result()["internalMeetingID"] == first["internalMeetingID"]
    assert cluster.states("course-1") == [(home, "running")]


def test_a_node_that_an_operator_takes_out_while_it_is_chosen_is_passed_over(cluster: Cluster) -> None:
    with connect(cluster.settings.database_url) as operator, ThreadPoolExecutor(1) as front_end:
        operator.execute("UPDATE nodes SET admin_state = 'draining' WHERE name = 'bbb1'")
        created = front_end.submit(cluster.create, "course-1")
        until(lambda: waits_for_a_lock(cluster))
        operator.commit()
        assert created.result().success
    assert cluster.states("course-1") == [("bbb2", "running")]
    assert cluster.meetings("bbb1") == set()


def waits_for_a_lock(cluster: Cluster) -> bool:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with connect(cluster.settings.database_url) as connection:
        return connection.execute(waiting).rowcount > 0


def test_a_left_over_that_is_being_closed_is_not_handed_out(cluster: Cluster) -> None:
    left = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now(), created_at = NULL")
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = %s", home)
    again = cluster.create("course-1")
    assert again.success
    assert again["internalMeetingID"] != left["internalMeetingID"]
    assert cluster.states("course-1")[-1][0] != home


def test_every_create_puts_the_copy_for_joins_right(cluster: Cluster) -> None:
    cluster.create("course-1")
    (row,) = cluster.rows("course-1")
    cluster.services.placements.forget(1, "course-1", row["id"])
    assert cluster.create("course-1").success
    place = cluster.services.placements.find(1, "course-1")
    assert place
    assert (place.row, place.node_id) == (row["id"], row["node_id"])


def test_what_a_create_may_have_left_behind_is_looked_for_at_once(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    cluster.misbehave("bbb1", "html", calls=["create"])
    cluster.create("course-1")
    assert PollRequests(cluster.services.redis).take(0.1) == cluster.nodes["bbb1"].id


def test_with_postgresql_away_a_create_fails_clearly(
    cluster_on: ClusterMaker, own_postgresql: Any, redis_url: str
) -> None:
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1")
    cluster.poll()
    assert cluster.create("course-1").success
    own_postgresql.stop()
    answer = cluster.create("course-2")
    assert answer.key == "internalError"
    assert "database" in answer["message"]
    own_postgresql.start()
    back = time.monotonic()
    while not cluster.create("course-2").success:
        assert time.monotonic() - back < 8
        time.sleep(0.1)
    assert cluster.states("course-2") == [("bbb1", "running")]
