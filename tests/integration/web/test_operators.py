"""What operators do about one meeting, on real nodes: end it, give it up, look for twins."""

import pytest

from balancer.core.nodes import AdminState, ObservedState
from balancer.storage.redis.poll_requests import PollRequests
from lab.simulator.bbb_releases import PROFILES
from tests.integration.cli.conftest import Commands
from tests.integration.web.cluster import NODE_SECRET, Cluster


def elsewhere(cluster: Cluster, home: str) -> str:
    return next(name for name in cluster.nodes if name != home)


@pytest.mark.parametrize("by", ["meetingID", "internalMeetingID"])
def test_a_meeting_is_ended_at_its_node_and_forgotten_once_that_confirms(
    cluster: Cluster, commands: Commands, by: str
) -> None:
    created = cluster.create("course-1", moderatorPW="the-moderators-password")
    home = cluster.home("course-1")
    answer = commands.json("meeting", "end", created[by])
    assert answer == {
        "version": 1,
        "changed": True,
        "meeting": {
            "meeting_id": "course-1",
            "tenant": "default",
            "node": home,
            "internal_meeting_id": created["internalMeetingID"],
        },
    }
    # By its internal id, so that no later one of this meetingID is meant; BBB up to 2.5 asks for the password.
    named = f"meetingID={created['internalMeetingID']}&password=the-moderators-password&"
    assert cluster.requests(home, "end")[0].query.startswith(named)
    assert cluster.states("course-1") == [(home, "running")]
    assert "an operator requested its end" in cluster.causes("course-1")
    # The poller is asked to poll at once.
    assert PollRequests(cluster.services.redis).take(0.1) == cluster.nodes[home].id
    while "course-1" in cluster.meetings(home) or cluster.states("course-1") != [(home, "ended")]:
        cluster.poll()
    assert "is running" in commands.refused("meeting", "end", "course-1")


def test_a_node_of_bbb_2_5_ends_a_meeting_by_its_meeting_id(cluster: Cluster, commands: Commands) -> None:
    cluster.add("bbb3", profile=PROFILES["2.5"])
    for name in ("bbb1", "bbb2"):
        cluster.set_state(name, AdminState.DISABLED)
    cluster.poll()
    cluster.create("course-1", moderatorPW="the-moderators-password")
    assert commands.json("meeting", "end", "course-1")["changed"]
    (request,) = cluster.requests("bbb3", "end")
    assert request.query.startswith("meetingID=course-1&password=the-moderators-password&")
    while cluster.states("course-1") != [("bbb3", "ended")]:
        cluster.poll()


def test_a_meeting_that_its_node_does_not_know_is_over(cluster: Cluster, commands: Commands) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.restart(home)
    assert "had already ended" in commands.ok("meeting", "end", "course-1")
    cluster.poll()
    assert cluster.states("course-1") == [(home, "ended")]


def test_a_meeting_on_a_node_that_does_not_answer_is_not_ended(cluster: Cluster, commands: Commands) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.misbehave(home, "hang", calls=["getMeetingInfo"])
    refusal = commands.refused("meeting", "end", "course-1")
    assert f"{home} does not answer (slow)" in refusal
    assert NODE_SECRET not in refusal
    assert cluster.states("course-1") == [(home, "running")]


def test_an_unknown_meeting_is_neither_ended_nor_given_up(commands: Commands) -> None:
    for verb in ("end", "give-up"):
        assert commands.refused("meeting", verb, "nothing") == "balancer: no meeting 'nothing' is running\n"


def test_if_two_tenants_have_the_id_one_must_be_named(cluster: Cluster, commands: Commands) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.add_meeting_of_another_tenant("course-1", elsewhere(cluster, home))
    assert "choose one with --tenant" in commands.refused("meeting", "end", "course-1")
    commands.ok("meeting", "end", "course-1", "--tenant", "default")
    assert not cluster.requests(elsewhere(cluster, home), "end")


def test_a_meeting_whose_node_answers_is_not_given_up(cluster: Cluster, commands: Commands) -> None:
    cluster.create("course-1")
    assert "is not lost" in commands.refused("meeting", "give-up", "course-1")
    assert [state for _, state in cluster.states("course-1")] == ["running"]


def test_a_meeting_that_is_given_up_is_placed_again_at_once_and_its_twin_is_reported(
    cluster: Cluster, commands: Commands
) -> None:
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.observe(home, ObservedState.UNREACHABLE)
    assert cluster.create("course-1").key == "internalError"
    assert "the next create places it again" in commands.ok("meeting", "give-up", "course-1")
    assert cluster.join("course-1").status_code == 200  # no redirect to a node that is away
    second = cluster.create("course-1")
    other = elsewhere(cluster, home)
    assert second["internalMeetingID"] != first["internalMeetingID"]
    assert cluster.states("course-1") == [(home, "lost"), (other, "running")]
    # The node is back, with it.
    cluster.poll()
    (twin,) = commands.json("meeting", "twins")["twins"]
    assert (twin["meeting_id"], twin["node"], twin["live_node"]) == ("course-1", home, other)
    assert twin["internal_meeting_id"] == first["internalMeetingID"]
    assert twin["live_internal_meeting_id"] == second["internalMeetingID"]
    assert twin["users"] == 0
    assert "course-1" in commands.ok("meeting", "twins")
    assert "an operator gave it up" in commands.ok("meeting", "trace", "course-1")
    # Both continue: the balancer ends neither.
    assert "course-1" in cluster.meetings(home) & cluster.meetings(other)
    assert not cluster.requests(home, "end")


def test_what_was_given_up_continues_if_its_node_is_back_first(cluster: Cluster, commands: Commands) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.observe(home, ObservedState.SUSPECT)
    commands.json("meeting", "give-up", "course-1")
    cluster.poll()
    assert cluster.states("course-1") == [(home, "running")]
    assert cluster.join("course-1").status_code == 302
    assert commands.json("meeting", "twins") == {"version": 1, "twins": []}
