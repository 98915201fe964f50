"""create if the meeting's node is away: the meeting is kept for a while, then placed on another node."""

from datetime import timedelta

from balancer.core.nodes import AdminState, ObservedState
from tests.eventually import until
from tests.integration.web.cluster import Cluster


def test_a_meeting_on_an_unreachable_node_is_kept_for_a_while(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(seconds=170))
    answer = cluster.create("course-1")
    assert answer.key == "internalError"
    assert "cannot be reached" in answer["message"]
    assert cluster.states("course-1") == [(home, "running")]


def test_then_it_is_placed_again(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.misbehave(home, "refuse")
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(seconds=190))
    assert cluster.create("course-1").success
    (first, second) = cluster.states("course-1")
    assert first == (home, "lost")
    assert second[1] == "running"
    assert second[0] != home


def test_if_no_other_node_takes_it_it_stays_on_its_node(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.misbehave(home, "refuse")
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(seconds=190))
    other = next(name for name in cluster.nodes if name != home)
    cluster.set_state(other, AdminState.DRAINING)
    answer = cluster.create("course-1")
    assert answer.key == "internalError"
    assert "1 node draining" in answer["message"]
    assert cluster.states("course-1") == [(home, "running")]
    assert cluster.call("isMeetingRunning", meetingID="course-1").key == "internalError"
    assert cluster.call("getMeetings")["meetings/meeting/meetingID"] == "course-1"
    cluster.set_state(other, AdminState.ENABLED)
    until(lambda: cluster.create("course-1").success)  # a look at all nodes serves for a moment
    assert [state for _, state in cluster.states("course-1")] == ["lost", "running"]


def test_a_node_that_answers_after_all_keeps_its_meeting(cluster: Cluster) -> None:
    """No poller runs, so the balancer does not know that the node is back."""
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(hours=1))
    again = cluster.create("course-1")
    assert (again.key, again["internalMeetingID"]) == ("duplicateWarning", first["internalMeetingID"])
    assert cluster.states("course-1") == [(home, "running")]


def test_a_node_that_answers_without_the_meeting_has_ended_it(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.restart(home)
    cluster.observe(home, ObservedState.UNREACHABLE, timedelta(hours=1))
    assert cluster.create("course-1").success
    assert [state for _, state in cluster.states("course-1")] == ["ended", "running"]


def test_if_most_nodes_are_away_nothing_is_given_up(cluster: Cluster) -> None:
    cluster.add("bbb3")
    cluster.poll()
    cluster.create("course-1")
    home = cluster.home("course-1")
    for name in {home, "bbb1", "bbb2"}:
        cluster.observe(name, ObservedState.UNREACHABLE, timedelta(hours=1))
    if home == "bbb3":
        cluster.observe("bbb3", ObservedState.UNREACHABLE, timedelta(hours=1))
    assert cluster.create("course-1").key == "internalError"
    assert cluster.states("course-1") == [(home, "running")]


def test_a_meeting_whose_node_was_removed_is_placed_again(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.execute("DELETE FROM nodes WHERE name = %s", home)
    assert cluster.create("course-1").success
    assert [state for _, state in cluster.states("course-1")] == ["lost", "running"]
