"""Which node takes a meeting, and why the others do not."""

import pytest

from balancer.core.load import Load
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.core.selection import Candidate, candidates

ONLINE, STALE, SUSPECT = ObservedState.ONLINE, ObservedState.STALE, ObservedState.SUSPECT
UNREACHABLE, UNKNOWN = ObservedState.UNREACHABLE, ObservedState.UNKNOWN
ENABLED, DRAINING, DISABLED = AdminState.ENABLED, AdminState.DRAINING, AdminState.DISABLED

Given = tuple[AdminState, ObservedState, float]


def judge(*given: Given, weights: tuple[float, ...] = (), **exclusions: set[int]) -> list[Candidate]:
    nodes = [
        Node(
            id=number,
            name=f"bbb{number}",
            url=f"https://bbb{number}/",
            secret="secret",
            admin_state=state,
            weight=weights[number - 1] if weights else 1.0,
        )
        for number, (state, _, _) in enumerate(given, 1)
    ]
    observed = {number: state for number, (_, state, _) in enumerate(given, 1)}
    loads = {number: Load(users, 0, 1) for number, (_, _, users) in enumerate(given, 1)}
    return candidates(nodes, observed, loads, **exclusions)


def taken(found: list[Candidate]) -> list[int]:
    return [each.node.id for each in found if not each.refusal]


@pytest.mark.parametrize(
    ("given", "order"),
    [
        # The least loaded first.
        ([(ENABLED, ONLINE, 20), (ENABLED, ONLINE, 5), (ENABLED, ONLINE, 10)], [2, 3, 1]),
        # Equal ones in a fixed order.
        ([(ENABLED, ONLINE, 5), (ENABLED, ONLINE, 5)], [1, 2]),
        # Only what the operator wants.
        ([(DRAINING, ONLINE, 0), (DISABLED, ONLINE, 0), (ENABLED, ONLINE, 90)], [3]),
        # Of which nothing fresh is known, only where nothing better is.
        ([(ENABLED, STALE, 0), (ENABLED, ONLINE, 90)], [2]),
        ([(ENABLED, STALE, 0), (ENABLED, SUSPECT, 0)], [1]),
        ([(DRAINING, ONLINE, 0), (ENABLED, STALE, 9), (ENABLED, STALE, 5)], [3, 2]),
        ([(ENABLED, SUSPECT, 0), (ENABLED, UNREACHABLE, 0)], [1]),
        # Never where nobody is.
        ([(ENABLED, UNREACHABLE, 0), (ENABLED, UNKNOWN, 0)], []),
        ([], []),
    ],
)
def test_order(given: list[Given], order: list[int]) -> None:
    assert taken(judge(*given)) == order


def test_a_larger_node_takes_more() -> None:
    assert taken(judge((ENABLED, ONLINE, 30), (ENABLED, ONLINE, 20), weights=(2.0, 1.0))) == [1, 2]


def test_a_node_that_failed_is_not_tried_again_even_where_it_is_the_best_known() -> None:
    assert taken(judge((ENABLED, ONLINE, 0), (ENABLED, STALE, 0), refused={1})) == [2]


def test_a_node_with_another_tenant_s_meeting_of_this_id_is_left_out() -> None:
    assert taken(judge((ENABLED, ONLINE, 0), (ENABLED, ONLINE, 50), foreign={1})) == [2]


def test_every_refusal_has_a_reason() -> None:
    found = judge(
        (DRAINING, ONLINE, 0),
        (ENABLED, UNREACHABLE, 0),
        (ENABLED, ONLINE, 0),
        (ENABLED, ONLINE, 0),
        (ENABLED, STALE, 0),
        (ENABLED, ONLINE, 9),
        refused={3},
        foreign={4},
    )
    assert {each.node.id: each.refusal for each in found} == {
        6: "",
        1: "is draining",
        2: "is unreachable",
        3: "failed this create",
        4: "has another tenant's meeting of this id",
        5: "is stale",
    }
    assert found[0].node.id == 6
