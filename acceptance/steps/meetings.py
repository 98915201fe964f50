"""Steps about meetings: creating and ending them, and which node they run on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pytest_bdd import given, parsers, then, when

from acceptance.support.bbb import BBB
from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.joined_users import Scene
from acceptance.support.meetings import GONE, Meeting, Meetings, PlacedMeeting
from acceptance.support.operator import Operator
from acceptance.support.step_types import Note, TimeLimit


@dataclass(frozen=True)
class RepeatedCreate:
    """A meeting, and the same meeting as the answer to its second create describes it."""

    placed: PlacedMeeting
    second: Meeting


@given("a meeting", target_fixture="meeting")
def a_meeting(meetings: Meetings) -> Meeting:
    return meetings.create("meeting")


@given("a meeting whose guests need a moderator's approval", target_fixture="meeting")
def a_meeting_with_a_lobby(meetings: Meetings) -> Meeting:
    return meetings.create("lobby", guestPolicy="ASK_MODERATOR")


@given(parsers.parse("meetings on {count:d} nodes"), target_fixture="placed")
def meetings_on_nodes(meetings: Meetings, note: Note, count: int) -> list[PlacedMeeting]:
    placed = meetings.place_on_different_nodes(count, "pinned")
    for one in placed:
        note(f"{one.meeting.id} is on {one.node.name}")
    return placed


@given(parsers.parse("running meetings on {count:d} nodes"), target_fixture="placed")
def running_meetings_on_nodes(scene: Scene, note: Note, count: int) -> list[PlacedMeeting]:
    placed = meetings_on_nodes(scene.meetings, note, count)
    for one in placed:
        scene.join_on_its_node(one, "First")
    return placed


@when(parsers.parse("a front end creates {count:d} meetings for each node"), target_fixture="created")
def create_several(meetings: Meetings, environment: Environment, note: Note, count: int) -> list[PlacedMeeting]:
    created = [meetings.place("spread") for _ in range(count * len(environment.nodes))]
    note(f"meetings: {in_words(Counter(one.node.name for one in created))}")
    return created


@when("the front end creates each meeting again", target_fixture="again")
def create_again(meetings: Meetings, placed: list[PlacedMeeting]) -> list[RepeatedCreate]:
    return [RepeatedCreate(one, meetings.create_again(one.meeting)) for one in placed]


@then(parsers.parse("within {seconds:g} seconds each meeting is still the same, on the same node"))
def still_the_same(again: list[RepeatedCreate], meetings: Meetings) -> None:
    for one in again:
        first, began = one.placed.meeting, one.placed.node
        now = meetings.node_of(first)
        assert (now.name, one.second.internal_id) == (began.name, first.internal_id), (
            f"meeting {first.id} moved from {began.host} to {now.host} when its front end created it again: "
            f"createTime {first.create_time} became {one.second.create_time}"
        )


@when("another user joins each meeting")
def another_user_joins(scene: Scene, placed: list[PlacedMeeting]) -> None:
    for one in placed:
        scene.join_on_its_node(one, "Second")


@when("each meeting is ended")
def end_each(meetings: Meetings, placed: list[PlacedMeeting]) -> None:
    for one in placed:
        meetings.end(one.meeting)


@then(parsers.parse("within {seconds:g} seconds each new meeting runs on the node that its users are sent to"))
def on_their_nodes(created: list[PlacedMeeting], meetings: Meetings, time_limit: TimeLimit, seconds: float) -> None:
    for one in created:
        _wait_until_on_its_node(one, meetings, time_limit(seconds))


@then("the new meetings are spread evenly over the nodes")
def spread_evenly(created: list[PlacedMeeting], operator: Operator, environment: Environment) -> None:
    counts = Counter({state.name: 0 for state in operator.nodes() if state.takes_meetings})
    counts.update(one.node.name for one in created)
    difference = max(counts.values()) - min(counts.values())
    assert difference <= environment.spread.difference, (
        f"the balancer does not spread {len(created)} new meetings over its nodes: {in_words(counts)}"
    )


@then(parsers.parse("within {seconds:g} seconds each meeting shows {users:d} users, on the node where it began"))
def stays(placed: list[PlacedMeeting], bbb: BBB, note: Note, time_limit: TimeLimit, seconds: float, users: int) -> None:
    for one in placed:
        wait_for_users(bbb, one, users, time_limit(seconds))
        note(f"{one.meeting.id}: {users} users on {one.node.host}")


@then(parsers.parse("within {seconds:g} seconds neither the balancer nor the meeting's node knows any ended meeting"))
def gone(placed: list[PlacedMeeting], bbb: BBB, meetings: Meetings, time_limit: TimeLimit, seconds: float) -> None:
    for one in placed:
        for api in (meetings.at(one.node), bbb):
            wait_until_gone(api, one.meeting, time_limit(seconds))


def wait_until_gone(api: BBB, meeting: Meeting, within: float) -> None:
    """Waits (seconds) until one endpoint no longer knows a meeting."""
    eventually(
        lambda: api.call("getMeetingInfo", meetingID=meeting.id),
        lambda answer: answer.key in GONE,
        within=within,
        otherwise=lambda answer: f"{api.host} still knows meeting {meeting.id} after its end",
    )


def wait_for_users(bbb: BBB, placed: PlacedMeeting, users: int, within: float) -> None:
    """Waits (seconds) until a meeting has this many users; AssertionError if it is no longer the same meeting."""
    meeting, host = placed.meeting, placed.node.host
    info = eventually(
        lambda: bbb.call("getMeetingInfo", meetingID=meeting.id),
        lambda answer: answer.text("participantCount") == str(users),
        within=within,
        otherwise=lambda answer: (
            f"meeting {meeting.id} on {host} shows {answer.text('participantCount') or 'no'} users"
            f" instead of {users} {answer.message}"
        ),
    )
    assert info.text("internalMeetingID") == meeting.internal_id, f"{meeting.id} on {host} became another meeting"


def _wait_until_on_its_node(placed: PlacedMeeting, meetings: Meetings, within: float) -> None:
    meeting, node = placed.meeting, placed.node
    eventually(
        lambda: meetings.at(node).call("getMeetingInfo", meetingID=meeting.id),
        lambda answer: answer.text("internalMeetingID") == meeting.internal_id,
        within=within,
        otherwise=lambda answer: (
            f"the balancer sends users of {meeting.id} to {node.host}, which does not have it: {answer.key}"
        ),
    )


def in_words(counts: Counter[str]) -> str:
    """Numbers of meetings by node, for messages."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
