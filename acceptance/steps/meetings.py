"""Steps about meetings: making them, where they are, that they stay there, that they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from pytest_bdd import given, parsers, then, when

from acceptance.support.bbb import BBB
from acceptance.support.browser import Chromium
from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.meetings import GONE, Meeting, Meetings, Placed
from acceptance.support.operator import Operator

Note = Callable[[str], None]
Patience = Callable[[float], float]


@dataclass(frozen=True)
class Again:
    """A meeting and what a repeated create said about it."""

    placed: Placed
    second: Meeting


@given("a meeting", target_fixture="meeting")
def a_meeting(meetings: Meetings) -> Meeting:
    return meetings.create("meeting")


@given("a meeting whose guests ask a moderator", target_fixture="meeting")
def a_meeting_with_a_lobby(meetings: Meetings) -> Meeting:
    return meetings.create("lobby", guestPolicy="ASK_MODERATOR")


@given(parsers.parse("meetings on {count:d} nodes"), target_fixture="placed")
def meetings_on_nodes(meetings: Meetings, note: Note, count: int) -> list[Placed]:
    return _told(meetings.place_on_different_nodes(count, "pinned"), note)


@given(parsers.parse("running meetings on {count:d} nodes"), target_fixture="placed")
def running_meetings_on_nodes(
    meetings: Meetings,
    browser: Chromium,
    people: ExitStack,
    environment: Environment,
    note: Note,
    count: int,
) -> list[Placed]:
    placed = _told(meetings.place_on_different_nodes(count, "pinned"), note)
    _everyone_joins(placed, "First", meetings, browser, people, environment)
    return placed


@when(parsers.parse("a front end creates {count:d} meetings for each node"), target_fixture="created")
def create_several(meetings: Meetings, environment: Environment, note: Note, count: int) -> list[Placed]:
    created = [meetings.place("spread") for _ in range(count * len(environment.nodes))]
    note(f"meetings: {_counts(created)}")
    return created


@when("the front end creates each of them again", target_fixture="again")
def create_again(meetings: Meetings, placed: list[Placed]) -> list[Again]:
    return [Again(one, meetings.create_again(one.meeting)) for one in placed]


@then(parsers.parse("within {seconds:g} seconds each is still the same meeting, on the same node"))
def still_the_same(again: list[Again], meetings: Meetings, seconds: float) -> None:
    for one in again:
        _same_meeting(one, meetings)


@when("another user joins each of them")
def another_user_joins(
    meetings: Meetings, browser: Chromium, people: ExitStack, environment: Environment, placed: list[Placed]
) -> None:
    _everyone_joins(placed, "Second", meetings, browser, people, environment)


@when("each of them is ended")
def end_each(meetings: Meetings, placed: list[Placed]) -> None:
    for one in placed:
        meetings.end(one.meeting)


@then(parsers.parse("within {seconds:g} seconds they are spread evenly over the nodes"))
def spread_evenly(
    created: list[Placed],
    meetings: Meetings,
    operator: Operator,
    environment: Environment,
    patience: Patience,
    seconds: float,
) -> None:
    for one in created:
        _is_at_its_node(one, meetings, patience(seconds))
    numbers = Counter({state.name: 0 for state in operator.nodes() if state.takes_meetings})
    numbers.update(one.node.name for one in created)
    difference = max(numbers.values()) - min(numbers.values())
    assert difference <= environment.spread.difference, (
        f"the balancer does not spread {len(created)} new meetings over its nodes: {_words(numbers)}"
    )


@then(parsers.parse("within {seconds:g} seconds each of them shows {users:d} users, on the node where it began"))
def stays(placed: list[Placed], bbb: BBB, note: Note, patience: Patience, seconds: float, users: int) -> None:
    for one in placed:
        _shows(bbb, one, users, patience(seconds))
        note(f"{one.meeting.id}: {users} users on {one.node.host}")


@then(parsers.parse("within {seconds:g} seconds neither the balancer nor any node knows them"))
def gone(placed: list[Placed], bbb: BBB, meetings: Meetings, patience: Patience, seconds: float) -> None:
    for one in placed:
        for api in (meetings.at(one.node), bbb):
            wait_until_gone(api, one.meeting, patience(seconds))


def wait_until_gone(api: BBB, meeting: Meeting, within: float) -> None:
    """Waits until a meeting has ended, as one endpoint sees it."""
    eventually(
        lambda: api.call("getMeetingInfo", meetingID=meeting.id),
        lambda answer: answer.key in GONE,
        within=within,
        otherwise=lambda answer: f"{api.host} still knows meeting {meeting.id} after its end",
    )


def _same_meeting(one: Again, meetings: Meetings) -> None:
    first, second, began = one.placed.meeting, one.second, one.placed.node
    now = meetings.node_of(first)
    assert (now.name, second.internal_id) == (began.name, first.internal_id), (
        f"meeting {first.id} moved from {began.host} to {now.host} when its front end created it again: "
        f"createTime {first.create_time} became {second.create_time}"
    )


def _shows(bbb: BBB, placed: Placed, users: int, within: float) -> None:
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


def _is_at_its_node(placed: Placed, meetings: Meetings, within: float) -> None:
    meeting, node = placed.meeting, placed.node
    eventually(
        lambda: meetings.at(node).call("getMeetingInfo", meetingID=meeting.id),
        lambda answer: answer.text("internalMeetingID") == meeting.internal_id,
        within=within,
        otherwise=lambda answer: (
            f"the balancer sends users of {meeting.id} to {node.host}, which does not have it: {answer.key}"
        ),
    )


def _everyone_joins(
    placed: list[Placed],
    name: str,
    meetings: Meetings,
    browser: Chromium,
    people: ExitStack,
    environment: Environment,
) -> None:
    for one in placed:
        page = people.enter_context(browser.page())
        arrived = browser.join(page, meetings.join_link(one.meeting.join(name, "MODERATOR")), environment.client)
        assert one.node.hostname in arrived, (
            f"{name} joined {one.meeting.id} and arrived at {arrived}, but the meeting began on {one.node.host}"
        )


def _told(placed: list[Placed], note: Note) -> list[Placed]:
    for one in placed:
        note(f"{one.meeting.id} is on {one.node.name}")
    return placed


def _counts(placed: list[Placed]) -> str:
    return _words(Counter(one.node.name for one in placed))


def _words(numbers: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
