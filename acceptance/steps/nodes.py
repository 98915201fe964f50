"""Steps about nodes: their states, loads and identities, and the changes that an operator makes."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

import pytest
from pytest_bdd import given, parsers, then, when

from acceptance.steps.meetings import in_words, wait_for_users
from acceptance.support import node_identity
from acceptance.support.bbb import BBB
from acceptance.support.environment import Environment, Node
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Hosts
from acceptance.support.joined_users import Scene
from acceptance.support.meetings import Meetings, PlacedMeeting
from acceptance.support.operator import NodeState, Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.step_types import Note, TimeLimit


@given("every node is enabled and online")
def every_node_ready(operator: Operator, environment: Environment) -> None:
    states = {state.name: state for state in operator.nodes()}
    for node in environment.nodes:
        state = states.get(node.name)
        if state is None or not state.takes_meetings:
            raise NotProved(f"blocked: {state.summary if state else f'the balancer does not know {node.name}'}")


@given("the nodes' loads are close together")
def loads_close(operator: Operator, environment: Environment, time_limit: TimeLimit, note: Note) -> None:
    """Waits for this, because a meeting that has just ended counts until the next poll."""
    tolerance = environment.spread.load_tolerance

    def loads() -> dict[str, float | None]:
        return {state.name: state.load for state in operator.nodes() if state.takes_meetings}

    def close(by_node: dict[str, float | None]) -> bool:
        known = [load for load in by_node.values() if load is not None]
        return len(known) == len(by_node) and bool(known) and max(known) - min(known) <= tolerance

    def summary(by_node: dict[str, float | None]) -> str:
        return ", ".join(f"{name} {load}" for name, load in by_node.items())

    try:
        note(f"loads: {summary(eventually(loads, close, within=time_limit(20), otherwise=summary))}")
    except AssertionError as error:
        raise NotProved(f"before the first meeting the loads differ by more than {tolerance:g}: {error}") from error


@given(parsers.parse("at least {count:d} nodes are enabled and online"))
def enough_nodes(operator: Operator, count: int) -> None:
    states = operator.nodes()
    ready = [state for state in states if state.takes_meetings]
    if len(ready) < count:
        others = "; ".join(state.summary for state in states if not state.takes_meetings)
        raise NotProved(f"blocked: {len(ready)} nodes are enabled and online, {count} are needed: {others}")


@pytest.fixture(scope="session")
def nodes_reached() -> set[str]:
    """Nodes that got a new meeting in this run. Otherwise a disabled node that gets none would prove nothing."""
    return set()


@given("every enabled node gets new meetings")
def meetings_reach(operator: Operator, meetings: Meetings, nodes_reached: set[str]) -> None:
    enabled = {state.name for state in operator.nodes() if state.takes_meetings}
    if nodes_reached >= enabled:
        return
    for one in meetings.place_on_different_nodes(len(enabled), "reach"):
        nodes_reached.add(one.node.name)
        meetings.end(one.meeting)


@given("an idle node is disabled", target_fixture="node")
def idle_node_disabled(operator: Operator, meetings: Meetings, environment: Environment, time_limit: TimeLimit) -> Node:
    node = _idle_node(operator, meetings, environment, time_limit(20))
    operator.set_state(node.name, "disabled", within=time_limit(20))
    return node


@given("a running meeting on an otherwise idle node", target_fixture="running")
def running_meeting(operator: Operator, scene: Scene, time_limit: TimeLimit) -> PlacedMeeting:
    _idle_node(operator, scene.meetings, scene.environment, time_limit(20))
    placed = scene.meetings.place("running")
    if len(_meetings_on(scene.meetings.at(placed.node))) > 1:
        raise NotProved(f"{placed.node.name} also has meetings of other users, so it is not drained")
    scene.join(placed.meeting, "Stays", "MODERATOR")
    return placed


@given("a test meeting on each node", target_fixture="test_meetings")
def meeting_on_each_node(environment: Environment, operator: Operator, meetings: Meetings) -> list[PlacedMeeting]:
    reachable = {state.name for state in operator.nodes() if state.observed_state == "online"}
    if missing := [node.name for node in environment.nodes if node.name not in reachable]:
        raise NotProved(f"blocked: not online for the balancer: {', '.join(missing)}")
    return [meetings.place_at(node, "own") for node in environment.nodes]


@when("the node is drained", target_fixture="node")
def node_drained(operator: Operator, running: PlacedMeeting) -> Node:
    operator.set_state(running.node.name, "draining")
    return running.node


@when(parsers.parse("the node is enabled again and online within {seconds:g} seconds"))
def node_enabled(operator: Operator, node: Node, time_limit: TimeLimit, seconds: float) -> None:
    operator.restore()
    eventually(
        lambda: operator.node(node.name),
        lambda state: state.takes_meetings,
        within=time_limit(seconds),
        otherwise=lambda state: f"{state.summary} after it was enabled again",
    )


@then(parsers.parse("within {seconds:g} seconds the node hosts none of the new meetings"))
def hosts_none(created: list[PlacedMeeting], node: Node, operator: Operator, meetings: Meetings) -> None:
    there = [one.meeting.id for one in created if one.node.name == node.name]
    state = operator.node(node.name).admin_state
    assert not there, (
        f"the balancer placed {len(there)} of {len(created)} new meetings on {node.host}, which is {state}"
    )
    _assert_none_known(meetings.at(node), created, node.host, state)


@then(parsers.parse("within {seconds:g} seconds every other enabled node hosts some of the new meetings"))
def others_host_some(created: list[PlacedMeeting], node: Node, operator: Operator, note: Note) -> None:
    others = [state.name for state in operator.nodes() if state.takes_meetings and state.name != node.name]
    counts = Counter(one.node.name for one in created)
    for other in others:
        assert counts[other], f"{other} is enabled, but got none of {len(created)} new meetings"
    note(in_words(counts))


@then(parsers.parse("within {seconds:g} seconds the node hosts some of the new meetings"))
def hosts_some(created: list[PlacedMeeting], node: Node) -> None:
    there = [one for one in created if one.node.name == node.name]
    assert there, f"{node.host} is enabled again, but the balancer placed none of {len(created)} new meetings on it"


@then(parsers.parse("within {seconds:g} seconds another user can join the running meeting, on the same node"))
def another_user_can_join(
    running: PlacedMeeting, scene: Scene, bbb: BBB, time_limit: TimeLimit, seconds: float
) -> None:
    scene.join_on_its_node(running, "Late", "VIEWER")
    wait_for_users(bbb, running, 2, time_limit(seconds))


@then(parsers.parse("within {seconds:g} seconds each node is online with a load younger than three poll intervals"))
def online_and_fresh(
    operator: Operator, environment: Environment, time_limit: TimeLimit, note: Note, seconds: float
) -> None:
    oldest = 3 * environment.poll_interval

    def errors() -> list[str]:
        states = {state.name: state for state in operator.nodes()}
        return [error for node in environment.nodes if (error := _state_error(node, states.get(node.name), oldest))]

    eventually(errors, lambda found: not found, within=time_limit(seconds), otherwise="; ".join)
    for state in operator.nodes():
        note(f"{state.summary}, load {state.load}, {state.snapshot_age} s old")


@then(parsers.parse("within {seconds:g} seconds each node's host name is the one in its URL"))
def own_host_names(environment: Environment, hosts: Hosts, note: Note) -> None:
    for node in environment.nodes:
        name = node_identity.host_name(hosts.named(node.host))
        expected = {node.hostname, node.hostname.split(".", 1)[0]}
        assert name in expected, f"the host name of {node.host} is {name!r}; its URL says {node.hostname!r}"
        note(f"{node.name}: {name}")


@then(
    parsers.parse(
        "within {seconds:g} seconds each node's server URL, secret, machine id, ssh host keys and TLS key are unique"
    )
)
def own_identities(environment: Environment, hosts: Hosts, note: Note) -> None:
    identities = {
        node.host: node_identity.read_identity(hosts.named(node.host), node, environment.ca_file)
        for node in environment.nodes
    }
    shared = node_identity.shared(identities)
    assert not shared, "; ".join(
        f"{' and '.join(names)} have the same {kind}: one is a clone of the other" for kind, names in shared
    )
    kinds = sorted({kind for identity in identities.values() for kind in identity})
    note(f"compared on each of {len(identities)} nodes: {', '.join(kinds)}")


@then(parsers.parse("within {seconds:g} seconds each node's join link leads to that node"))
def leads_to_itself(test_meetings: list[PlacedMeeting], meetings: Meetings, note: Note) -> None:
    for one in test_meetings:
        join = one.meeting.join("Probe", "VIEWER", redirect="false")
        target = meetings.at(one.node).call("join", **join).succeeded().text("url")
        host = urlsplit(target).hostname
        assert host == urlsplit(one.node.url).hostname, f"{one.node.host} sends its users to {host}"
        note(f"{one.node.name} sends its users to {host}")


@then(parsers.parse("within {seconds:g} seconds each node lists its test meeting among the running ones"))
def statistics_follow(
    test_meetings: list[PlacedMeeting], meetings: Meetings, time_limit: TimeLimit, seconds: float
) -> None:
    for one in test_meetings:
        _wait_until_listed(meetings.at(one.node), one, time_limit(seconds))


def _wait_until_listed(api: BBB, placed: PlacedMeeting, within: float) -> None:
    eventually(
        lambda: _meetings_on(api),
        lambda ids: placed.meeting.id in ids,
        within=within,
        otherwise=lambda ids: (
            f"{placed.node.host} looks online, but its statistics are frozen: getMeetings lists {len(ids)} meetings,"
            " but not the one that was just created there"
        ),
    )


def _idle_node(operator: Operator, meetings: Meetings, environment: Environment, within: float) -> Node:
    ready = [environment.node(state.name) for state in operator.nodes() if state.takes_meetings]

    def idle() -> list[Node]:
        return [node for node in ready if not _meetings_on(meetings.at(node))]

    try:
        return eventually(idle, bool, within=within, otherwise=lambda _: "every node has meetings")[-1]
    except AssertionError as error:
        raise NotProved(f"no node is idle, so none is changed: {error}") from error


def _meetings_on(api: BBB) -> list[str]:
    answer = api.call("getMeetings").succeeded()
    return [meeting.findtext("meetingID", "") for meeting in answer.all("meetings/meeting")]


def _assert_none_known(api: BBB, created: list[PlacedMeeting], host: str, state: str) -> None:
    for one in created:
        answer = api.call("getMeetingInfo", meetingID=one.meeting.id)
        assert not answer.ok, (
            f"the balancer placed {one.meeting.id} on {host}, which is {state}, and sends its users to {one.node.host}"
        )


def _state_error(node: Node, state: NodeState | None, oldest: float) -> str:
    if state is None:
        return f"{node.host}: the balancer does not know it"
    if state.observed_state != "online":
        reason = state.reason or "no reason given"
        return f"{node.host}: for the balancer it is {state.observed_state}, reason: {reason}"
    if state.snapshot_age is None or state.load is None:
        return f"{node.host}: the balancer does not know its load"
    if state.snapshot_age > oldest:
        return f"{node.host}: its load is {state.snapshot_age:.0f} s old, {oldest:g} s are allowed"
    return ""
