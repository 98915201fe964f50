"""A meeting's ordinary life through the balancer: create, join, info, list, end."""

import json

import pytest
import requests

from balancer import log
from balancer.storage.redis.whereabouts import Location
from tests.integration.web.cluster import Cluster, read


def test_a_created_meeting_is_known_everywhere_at_once(cluster: Cluster) -> None:
    created = cluster.create("course-1", attendeePW="attendee", moderatorPW="moderator", record="true")
    assert created.success
    assert created["meetingID"] == "course-1"
    info = cluster.call("getMeetingInfo", meetingID="course-1")
    assert (info["internalMeetingID"], info["createTime"]) == (created["internalMeetingID"], created["createTime"])
    assert cluster.call("isMeetingRunning", meetingID="course-1")["running"] == "false"
    assert cluster.call("getMeetings")["meetings/meeting/internalMeetingID"] == created["internalMeetingID"]
    assert cluster.states("course-1") == [(cluster.home("course-1"), "running")]


def test_a_second_create_is_answered_by_the_first_meeting(cluster: Cluster) -> None:
    first = cluster.create("course-1")
    second = cluster.create("course-1")
    assert second.key == "duplicateWarning"
    assert second["internalMeetingID"] == first["internalMeetingID"]


@pytest.mark.parametrize("meeting_id", ["\N{GRINNING FACE}", "\N{NO-BREAK SPACE}course", "\N{IDEOGRAPHIC SPACE}x"])
def test_an_id_may_be_what_java_takes_for_one(cluster: Cluster, meeting_id: str) -> None:
    assert cluster.create(meeting_id)["meetingID"] == meeting_id
    assert cluster.call("getMeetingInfo", meetingID=meeting_id)["meetingID"] == meeting_id


def test_an_end_of_another_spelling_forgets_no_meeting(cluster: Cluster) -> None:
    cluster.create("course-1")
    assert cluster.call("end", meetingID="\N{NO-BREAK SPACE}course-1").key == "notFound"
    assert [state for _, state in cluster.states("course-1")] == ["running"]
    assert cluster.call("end", meetingID=" course-1").success


def test_other_passwords_are_refused_as_bbb_does(cluster: Cluster) -> None:
    cluster.create("course-1", attendeePW="attendee", moderatorPW="moderator")
    assert cluster.create("course-1", attendeePW="other", moderatorPW="others").key == "idNotUnique"
    assert [state for _, state in cluster.states("course-1")] == ["running"]


def test_a_join_leads_to_the_node_and_into_the_meeting(cluster: Cluster) -> None:
    cluster.create("course-1")
    redirect = cluster.join("course-1", userID="u1")
    assert redirect.status_code == 302
    assert redirect.location.startswith(cluster.nodes[cluster.home("course-1")].url + "join?")
    landed = requests.get(redirect.location, allow_redirects=False, timeout=10)
    assert landed.status_code == 302
    assert "sessionToken=" in landed.headers["Location"]


def test_a_join_without_redirect_is_redirected_to_the_node_s_xml(cluster: Cluster) -> None:
    cluster.create("course-1")
    redirect = cluster.join("course-1", redirect="false")
    assert redirect.status_code == 302
    assert "<messageKey>successfullyJoined</messageKey>" in requests.get(redirect.location, timeout=10).text


def test_an_ended_meeting_is_forgotten_when_its_node_says_so(cluster: Cluster) -> None:
    cluster.create("course-1")
    node = cluster.home("course-1")
    assert cluster.call("end", meetingID="course-1").key == "sentEndMeetingRequest"
    assert cluster.states("course-1") == [(node, "running")]
    assert cluster.call("getMeetings").key == "noMeetings"
    while cluster.call("end", meetingID="course-1").success:
        pass
    assert cluster.states("course-1") == [(node, "ended")]
    assert cluster.call("getMeetingInfo", meetingID="course-1").key == "notFound"
    assert cluster.create("course-1").key == ""


@pytest.mark.parametrize("called", ["meetingID", "internalMeetingID"])
def test_no_user_is_sent_to_a_meeting_that_its_node_did_not_know_at_an_end(cluster: Cluster, called: str) -> None:
    created = cluster.create("course-1")
    node = cluster.home("course-1")
    cluster.restart(node)
    assert cluster.call("end", meetingID=created[called]).key == "notFound"
    assert cluster.states("course-1") == [(node, "ended")]
    assert read(cluster.join("course-1")).key == "meetingForciblyEnded"


def test_a_copy_that_outlived_its_row_is_gone_after_an_end(cluster: Cluster) -> None:
    created = cluster.create("course-1")
    node = cluster.home("course-1")
    cluster.restart(node)
    cluster.poll(2)
    assert cluster.states("course-1") == [(node, "ended")]
    # A request that was slower than the poll copied it after all.
    (row,) = cluster.rows("course-1")
    place = Location(row["id"], row["node_id"], created["internalMeetingID"])
    cluster.services.placements.note(row["tenant_id"], "course-1", place)
    assert cluster.join("course-1").status_code == 302
    assert cluster.call("end", meetingID="course-1").key == "notFound"
    assert read(cluster.join("course-1")).key == "meetingForciblyEnded"


def test_each_step_of_a_meeting_is_a_line_of_the_log(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    cluster.create("course-1", moderatorPW="moderator")
    cluster.call("end", meetingID="course-1", password="moderator")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "course-1" in line]
    assert [line["event"] for line in lines] == ["meeting placed", "create settled", "end taken"]
    assert [(line["tenant_id"], line["meeting_id"]) for line in lines] == [(1, "course-1")] * 3
    assert lines[1]["reason"] == "its node created it, the row is running: handed out"
    assert not [line for line in lines if "moderator" in str(line)]
