"""Steps about nodes: their states, their load, their identity, and the operator's hand on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from pytest_bdd import given, parsers, then, when

from acceptance.support import identity
from acceptance.support.bbb import BBB
from acceptance.support.browser import Chromium
from acceptance.support.environment import Environment, Node
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Hosts
from acceptance.support.meetings import Meetings, Placed
from acceptance.support.operator import NodeState, Operator
from acceptance.support.outcomes import NotProved

Note = Callable[[str], None]
Patience = Callable[[float], float]


@given("every node is enabled and online")
def every_node_ready(operator: Operator, environment: Environment) -> None:
    states = {state.name: state for state in operator.nodes()}
    for node in environment.nodes:
        state = states.get(node.name)
        if state is None or not state.takes_meetings:
            raise NotProved(f"blocked: {state.words if state else f'the balancer does not know {node.name}'}")


@given("the nodes' loads are close together")
def loads_close(operator: Operator, environment: Environment, patience: Patience, note: Note) -> None:
    """What ended a moment ago still counts until the next poll: the loads get the time to settle."""
    tolerance = environment.spread.load_tolerance

    def loads() -> dict[str, float | None]:
        return {state.name: state.load for state in operator.nodes() if state.takes_meetings}

    def close(found: dict[str, float | None]) -> bool:
        known = [load for load in found.values() if load is not None]
        return len(known) == len(found) and bool(known) and max(known) - min(known) <= tolerance

    def words(found: dict[str, float | None]) -> str:
        return ", ".join(f"{name} {load}" for name, load in found.items())

    try:
        note(f"loads: {words(eventually(loads, close, within=patience(20), otherwise=words))}")
    except AssertionError as error:
        raise NotProved(f"the loads differ by more than {tolerance:g} to begin with: {error}") from error


@given(parsers.parse("at least {count:d} nodes are enabled and online"))
def enough_nodes(operator: Operator, count: int) -> None:
    states = operator.nodes()
    ready = [state for state in states if state.takes_meetings]
    if len(ready) < count:
        others = "; ".join(state.words for state in states if not state.takes_meetings)
        raise NotProved(f"blocked: {len(ready)} nodes are enabled and online, {count} are needed: {others}")


@pytest.fixture(scope="session")
def nodes_reached() -> set[str]:
    """Nodes that were seen to take new meetings; without that, a disabled node that takes none proves nothing."""
    return set()


@given("new meetings reach each of them")
def meetings_reach(operator: Operator, meetings: Meetings, nodes_reached: set[str]) -> None:
    wanted = {state.name for state in operator.nodes() if state.takes_meetings}
    if nodes_reached >= wanted:
        return
    for one in meetings.place_on_different_nodes(len(wanted), "reach"):
        nodes_reached.add(one.node.name)
        meetings.end(one.meeting)


@given("an idle node is disabled", target_fixture="node")
def idle_node_disabled(operator: Operator, meetings: Meetings, environment: Environment, patience: Patience) -> Node:
    node = _idle_node(operator, meetings, environment, patience(20))
    operator.set_state(node.name, "disabled", within=patience(20))
    return node


@given("a running meeting on an otherwise idle node", target_fixture="running")
def running_meeting(
    operator: Operator,
    meetings: Meetings,
    environment: Environment,
    browser: Chromium,
    people: ExitStack,
    patience: Patience,
) -> Placed:
    _idle_node(operator, meetings, environment, patience(20))
    placed = meetings.place("running")
    if len(_meetings_on(meetings.at(placed.node))) > 1:
        raise NotProved(f"other people meet on {placed.node.name}, so it is left alone")
    page = people.enter_context(browser.page())
    browser.join(page, meetings.join_link(placed.meeting.join("Stays", "MODERATOR")), environment.client)
    return placed


@given("a meeting of ours on each node", target_fixture="own")
def meeting_on_each_node(environment: Environment, operator: Operator, meetings: Meetings) -> list[Placed]:
    reachable = {state.name for state in operator.nodes() if state.observed_state == "online"}
    if silent := [node.name for node in environment.nodes if node.name not in reachable]:
        raise NotProved(f"blocked: the balancer does not see {', '.join(silent)} online")
    return [meetings.place_at(node, "own") for node in environment.nodes]


@when("the node is drained", target_fixture="node")
def node_drained(operator: Operator, running: Placed) -> Node:
    operator.set_state(running.node.name, "draining")
    return running.node


@when(parsers.parse("the node is enabled again and online within {seconds:g} seconds"))
def node_enabled(operator: Operator, node: Node, patience: Patience, seconds: float) -> None:
    operator.put_back()
    eventually(
        lambda: operator.node(node.name),
        lambda state: state.takes_meetings,
        within=patience(seconds),
        otherwise=lambda state: f"{state.words} after it was enabled again",
    )


@then(parsers.parse("within {seconds:g} seconds the node hosts none of them"))
def hosts_none(created: list[Placed], node: Node, operator: Operator, meetings: Meetings, seconds: float) -> None:
    there = [one.meeting.id for one in created if one.node.name == node.name]
    state = operator.node(node.name).admin_state
    assert not there, (
        f"the balancer placed {len(there)} of {len(created)} new meetings on {node.host}, which is {state}"
    )
    _knows_none(meetings.at(node), created, node.host, state)


@then(parsers.parse("within {seconds:g} seconds each of its sisters hosts some of them"))
def sisters_host_some(created: list[Placed], node: Node, operator: Operator, note: Note, seconds: float) -> None:
    sisters = [state.name for state in operator.nodes() if state.takes_meetings and state.name != node.name]
    numbers = Counter(one.node.name for one in created)
    for sister in sisters:
        assert numbers[sister], f"{sister} is enabled, but got none of {len(created)} new meetings"
    note(", ".join(f"{name} {number}" for name, number in sorted(numbers.items())))


@then(parsers.parse("within {seconds:g} seconds the node hosts some of them"))
def hosts_some(created: list[Placed], node: Node, seconds: float) -> None:
    there = [one for one in created if one.node.name == node.name]
    assert there, f"{node.host} is enabled again, but the balancer placed none of {len(created)} new meetings on it"


@then(parsers.parse("within {seconds:g} seconds the running meeting takes another user, on the same node"))
def takes_another_user(
    running: Placed,
    bbb: BBB,
    meetings: Meetings,
    browser: Chromium,
    people: ExitStack,
    environment: Environment,
    patience: Patience,
    seconds: float,
) -> None:
    page = people.enter_context(browser.page())
    arrived = browser.join(page, meetings.join_link(running.meeting.join("Late", "VIEWER")), environment.client)
    host = running.node.hostname
    assert host in arrived, f"the meeting runs on {host}, but another user arrived at {arrived}"
    eventually(
        lambda: bbb.call("getMeetingInfo", meetingID=running.meeting.id),
        lambda answer: answer.text("participantCount") == "2",
        within=patience(seconds),
        otherwise=lambda answer: f"{host} drains, and its meeting shows {answer.text('participantCount')} of 2 users",
    )


@then(parsers.parse("within {seconds:g} seconds each node is online with a load younger than three poll intervals"))
def online_and_fresh(
    operator: Operator, environment: Environment, patience: Patience, note: Note, seconds: float
) -> None:
    oldest = 3 * environment.poll_interval

    def troubles() -> list[str]:
        states = {state.name: state for state in operator.nodes()}
        return [trouble for node in environment.nodes if (trouble := _trouble(node, states.get(node.name), oldest))]

    eventually(troubles, lambda seen: not seen, within=patience(seconds), otherwise="; ".join)
    for state in operator.nodes():
        note(f"{state.words}, load {state.load}, {state.snapshot_age} s old")


@then(parsers.parse("within {seconds:g} seconds each node's host calls itself by the name in its URL"))
def own_host_names(environment: Environment, hosts: Hosts, note: Note, seconds: float) -> None:
    for node in environment.nodes:
        name = identity.host_name(hosts.named(node.host))
        expected = {node.hostname, node.hostname.split(".", 1)[0]}
        assert name in expected, f"{node.host} calls itself {name!r}; by its URL it should be {node.hostname!r}"
        note(f"{node.name}: {name}")


@then(
    parsers.parse(
        "within {seconds:g} seconds each node's server URL, secret, machine id, ssh host keys and TLS key are its own"
    )
)
def own_identities(environment: Environment, hosts: Hosts, note: Note, seconds: float) -> None:
    marks = {node.host: identity.marks(hosts.named(node.host), node, environment.ca_file) for node in environment.nodes}
    shared = identity.shared(marks)
    assert not shared, "; ".join(
        f"{' and '.join(names)} have the same {kind}: one is a clone of the other" for kind, names in shared
    )
    kinds = sorted({kind for found in marks.values() for kind in found})
    note(f"compared on each of {len(marks)} nodes: {', '.join(kinds)}")


@then(parsers.parse("within {seconds:g} seconds each node's join link leads to that node"))
def leads_to_itself(own: list[Placed], meetings: Meetings, note: Note, seconds: float) -> None:
    for one in own:
        join = one.meeting.join("Probe", "VIEWER", redirect="false")
        target = meetings.at(one.node).call("join", **join).succeeded().text("url")
        host = urlsplit(target).hostname
        assert host == urlsplit(one.node.url).hostname, f"{one.node.host} sends its users to {host}"
        note(f"{one.node.name} sends its users to {host}")


@then(parsers.parse("within {seconds:g} seconds each node lists its meeting among the running ones"))
def statistics_follow(own: list[Placed], meetings: Meetings, patience: Patience, seconds: float) -> None:
    for one in own:
        _lists(meetings.at(one.node), one, patience(seconds))


def _lists(api: BBB, placed: Placed, within: float) -> None:
    eventually(
        lambda: _meetings_on(api),
        lambda ids: placed.meeting.id in ids,
        within=within,
        otherwise=lambda ids: (
            f"{placed.node.host} looks online, but its statistics are frozen: getMeetings lists {len(ids)} meetings,"
            " and not the one that was just created there"
        ),
    )


def _idle_node(operator: Operator, meetings: Meetings, environment: Environment, within: float) -> Node:
    ready = [environment.node(state.name) for state in operator.nodes() if state.takes_meetings]

    def idle() -> list[Node]:
        return [node for node in ready if not _meetings_on(meetings.at(node))]

    try:
        return eventually(idle, bool, within=within, otherwise=lambda _: "people meet on every node")[-1]
    except AssertionError as error:
        raise NotProved(f"no node is idle, so none is touched: {error}") from error


def _meetings_on(api: BBB) -> list[str]:
    answer = api.call("getMeetings").succeeded()
    return [meeting.findtext("meetingID", "") for meeting in answer.all("meetings/meeting")]


def _knows_none(api: BBB, created: list[Placed], host: str, state: str) -> None:
    for one in created:
        answer = api.call("getMeetingInfo", meetingID=one.meeting.id)
        assert not answer.ok, (
            f"the balancer placed {one.meeting.id} on {host}, which is {state}, and sends its users to {one.node.host}"
        )


def _trouble(node: Node, state: NodeState | None, oldest: float) -> str:
    if state is None:
        return f"{node.host}: the balancer does not know it"
    if state.observed_state != "online":
        reason = state.reason or "no reason given"
        return f"{node.host}: for the balancer it is {state.observed_state}, because of: {reason}"
    if state.snapshot_age is None or state.load is None:
        return f"{node.host}: the balancer has no load of it"
    if state.snapshot_age > oldest:
        return f"{node.host}: its load is {state.snapshot_age:.0f} s old, {oldest:g} s are allowed"
    return ""
