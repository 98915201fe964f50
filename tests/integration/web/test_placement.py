"""Where creates go: the least loaded node, pools, limits, the room's history, and the log line of the decision."""

import json

import pytest

from balancer import log
from balancer.storage.postgresql import placement
from tests.integration.web.cluster import Cluster

TAG = "meta_server-tag"


def homes(cluster: Cluster, *meeting_ids: str) -> list[str]:
    return [cluster.home(each) for each in meeting_ids]


def expected(cluster: Cluster, meeting_id: str) -> float:
    """Users expected in the room's newest meeting."""
    return float(cluster.rows(meeting_id)[-1]["expected_users"])


def test_a_second_burst_right_after_the_next_poll_spreads_as_evenly(cluster: Cluster) -> None:
    for number in range(10):
        cluster.create(f"course-{number}")
    cluster.poll()
    for number in range(10, 20):
        cluster.create(f"course-{number}")
    assert [len(cluster.meetings(name)) for name in cluster.nodes] == [10, 10]


def test_the_users_that_a_poll_saw_count(cluster: Cluster) -> None:
    cluster.create("full")
    full = cluster.home("full")
    cluster.let_in(full, "full", 35)
    cluster.poll()
    for number in range(3):
        cluster.create(f"course-{number}")
        assert cluster.home(f"course-{number}") != full


def test_a_heavier_node_takes_more(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET weight = 3 WHERE name = 'bbb1'")
    for number in range(12):
        cluster.create(f"course-{number}")
    assert {name: len(cluster.meetings(name)) for name in cluster.nodes} == {"bbb1": 9, "bbb2": 3}


def test_without_redis_s_snapshots_meetings_still_spread(cluster: Cluster) -> None:
    cluster.services.redis.flushall()
    cluster.services.recent.forget()
    for number in range(10):
        assert cluster.create(f"course-{number}").success
    assert [len(cluster.meetings(name)) for name in cluster.nodes] == [5, 5]


def test_a_tagged_node_is_kept_for_creates_that_ask_for_it(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET tags = '{exam}' WHERE name = 'bbb2'")
    for number in range(3):
        cluster.create(f"plain-{number}")
        cluster.create(f"exam-{number}", **{TAG: "gpu;exam!"})
    assert (len(cluster.meetings("bbb1")), len(cluster.meetings("bbb2"))) == (3, 3)
    assert homes(cluster, "plain-0", "exam-0") == ["bbb1", "bbb2"]


def test_a_tag_that_no_node_has_falls_back_unless_it_is_required(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET tags = '{exam}' WHERE name = 'bbb2'")
    assert cluster.create("optional", **{TAG: "gpu"}).success
    assert cluster.home("optional") == "bbb1"
    answer = cluster.create("required", **{TAG: "gpu;tpu!"})
    assert (answer.success, answer.key) == (False, "serverTagUnavailable")
    assert answer["message"] == (
        "There is no available server with the required tag=gpu;tpu. (2 nodes without the tag asked for)"
    )
    assert cluster.rows("required") == []


def test_a_create_repeated_with_another_tag_finds_its_meeting(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET tags = '{exam}' WHERE name = 'bbb2'")
    cluster.create("course-1")
    assert cluster.create("course-1", **{TAG: "exam!"}).key == "duplicateWarning"
    assert cluster.states("course-1") == [("bbb1", "running")]


def test_if_the_tag_s_node_fails_the_create_an_untagged_one_takes_it(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET tags = '{exam}' WHERE name = 'bbb2'")
    cluster.stop("bbb2")
    assert cluster.create("course-1", **{TAG: "exam"}).success
    assert cluster.states("course-1") == [("bbb2", "ended"), ("bbb1", "running")]
    del cluster.servers["bbb2"]


def test_a_hard_limit_refuses_create_and_never_join(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET hard_meetings = 1")
    for number in range(2):
        assert cluster.create(f"course-{number}").success
    answer = cluster.create("one-too-many")
    assert (answer.key, answer["message"]) == (
        "internalError",
        "Could not find any available servers. (2 nodes at the limit of meetings)",
    )
    assert cluster.create("course-0").success
    assert cluster.join("course-0").status_code == 302


def test_a_limit_of_users_counts_seen_and_expected_users(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET hard_users = 25")
    cluster.create("full")
    full = cluster.home("full")
    cluster.let_in(full, "full", 25)
    cluster.poll()
    # 10 users are expected in each; none is there yet.
    answers = [cluster.create(f"course-{number}").success for number in range(4)]
    assert answers == [True, True, True, False]
    assert len(cluster.meetings(full)) == 1


def test_a_soft_limit_is_kept_while_another_node_is_below_its_own(cluster: Cluster) -> None:
    cluster.execute("UPDATE nodes SET soft_meetings = 2, weight = 100 WHERE name = 'bbb1'")
    for number in range(5):
        cluster.create(f"course-{number}")
    assert (len(cluster.meetings("bbb1")), len(cluster.meetings("bbb2"))) == (2, 3)
    cluster.execute("UPDATE nodes SET soft_meetings = 1 WHERE name = 'bbb2'")
    cluster.services.recent.forget()
    cluster.create("over-both")
    assert cluster.home("over-both") == "bbb1"


def test_a_room_is_expected_to_be_as_full_as_its_last_meetings_were(cluster: Cluster) -> None:
    cluster.create("lecture")
    assert expected(cluster, "lecture") == cluster.settings.expected_users
    cluster.let_in(cluster.home("lecture"), "lecture", 40)
    cluster.poll()
    cluster.call("end", meetingID="lecture", password=cluster.create("lecture")["moderatorPW"])
    while cluster.call("getMeetingInfo", meetingID="lecture").success:
        pass
    cluster.poll(2)
    assert cluster.create("lecture").success
    assert expected(cluster, "lecture") == 40
    cluster.create("hinted", **{"meta_bbb-meeting-size-hint": "70"})
    assert expected(cluster, "hinted") == 70


def test_another_tenant_s_room_of_this_id_does_not_count(cluster: Cluster) -> None:
    cluster.add_meeting_of_another_tenant("course-1", "bbb1", "ended", peak_users=300)
    cluster.create("course-1")
    assert expected(cluster, "course-1") == cluster.settings.expected_users


def test_webcams_weigh(cluster: Cluster) -> None:
    for meeting_id in ("cameras", "faces"):
        cluster.create(meeting_id)
    busy = cluster.home("cameras")
    cluster.let_in(busy, "cameras", 10, video=True)
    cluster.let_in(cluster.home("faces"), "faces", 11)
    cluster.poll()
    cluster.create("next")
    assert cluster.home("next") != busy


def room_of(parent: str, number: int = 1) -> dict[str, str]:
    return {"isBreakout": "true", "parentMeetingID": parent, "sequence": str(number), "freeJoin": "true"}


@pytest.mark.parametrize("tags", [[], ["exam"]])
def test_a_breakout_room_goes_where_its_parent_is(cluster: Cluster, tags: list[str]) -> None:
    cluster.execute("UPDATE nodes SET tags = %s WHERE name = 'bbb2'", tags)
    created = cluster.create("course-1", **{TAG: "exam"})
    home = cluster.home("course-1")
    cluster.let_in(home, "course-1", 50)
    cluster.poll()
    assert cluster.create("room-1", **room_of("course-1")).success
    assert cluster.create("room-2", **room_of(created["internalMeetingID"], 2)).success
    assert homes(cluster, "room-1", "room-2") == [home, home]


def test_a_breakout_room_goes_nowhere_else(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.execute("UPDATE nodes SET admin_state = 'draining' WHERE name = %s", cluster.home("course-1"))
    answer = cluster.create("room-1", **room_of("course-1"))
    assert (answer.success, answer.key) == (False, "internalError")
    assert "1 node draining" in answer["message"]
    assert "1 node without its parent meeting" in answer["message"]
    assert cluster.rows("room-1") == []


def test_a_breakout_room_without_a_parent_is_refused_as_at_bbb(cluster: Cluster) -> None:
    assert cluster.create("room-1", **room_of("")).key == "parentMeetingIDMissing"
    assert cluster.create("room-1", **room_of("course-1")).key == "parentMeetingDoesNotExist"
    assert [state for _, state in cluster.states("room-1")] == ["ended"]


def test_another_tenant_s_meeting_is_no_parent(cluster: Cluster) -> None:
    cluster.execute("INSERT INTO tenants (name) VALUES ('other')")
    created = cluster.create("course-1")
    cluster.execute("UPDATE meetings SET tenant_id = (SELECT id FROM tenants WHERE name = 'other')")
    for parent in ("course-1", created["internalMeetingID"]):
        for number in range(3):  # at least one of them would go to its node
            assert cluster.create(f"room-{number}", **room_of(parent)).key == "parentMeetingDoesNotExist"


def test_every_decision_is_one_line_with_its_reasons(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("info", "json")
    monkeypatch.setattr(placement, "logger", log.get(placement.__name__))
    cluster.execute("UPDATE nodes SET tags = '{exam}', soft_meetings = 1 WHERE name = 'bbb2'")
    cluster.create("exam-1", **{TAG: "exam"})
    cluster.create("exam-2", **{TAG: "exam!"})
    cluster.create("lab", **{TAG: "lab!"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "refusals" in line]
    for line in lines:
        assert line.pop("time")
        assert (line.pop("level"), line.pop("module")) == ("info", "balancer.storage.postgresql.placement")
    common = {"tenant_id": 1, "expected_users": 10}
    others = {"without the tag asked for": ["bbb1"]}
    placed = common | {"event": "meeting placed", "node": "bbb2", "refusals": others}
    assert lines == [
        placed | {"meeting_id": "exam-1", "tag": "exam", "score": 10, "scores": {"bbb2": 10}, "at_soft_limit": []},
        placed
        | {"meeting_id": "exam-2", "tag": "exam!", "score": 20, "scores": {"bbb2": 20}, "at_soft_limit": ["bbb2"]},
        common
        | {
            "event": "no node for a meeting",
            "meeting_id": "lab",
            "tag": "lab!",
            "node": None,
            "score": None,
            "scores": {},
            "at_soft_limit": [],
            "refusals": {"without the tag asked for": ["bbb1", "bbb2"]},
        },
    ]
