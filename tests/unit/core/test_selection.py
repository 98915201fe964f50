"""Which node takes a meeting, and why the others do not."""

from typing import Any

import pytest

from balancer.core.load import Load
from balancer.core.node_tags import Pool
from balancer.core.nodes import AdminState, Limits, Node, ObservedState
from balancer.core.selection import Candidate, Request, candidates, unplaced

ONLINE, STALE, SUSPECT = ObservedState.ONLINE, ObservedState.STALE, ObservedState.SUSPECT
UNREACHABLE, UNKNOWN = ObservedState.UNREACHABLE, ObservedState.UNKNOWN
ENABLED, DRAINING, DISABLED = AdminState.ENABLED, AdminState.DRAINING, AdminState.DISABLED

EMPTY = Load(0, 0, 0, 0)


def node(number: int, state: AdminState = ENABLED, *, tags: str = "", weight: float = 1.0, **limits: int) -> Node:
    return Node(
        id=number,
        name=f"bbb{number}",
        url=f"https://bbb{number}/",
        secret="secret",
        admin_state=state,
        weight=weight,
        tags=tuple(tags.split()),
        limits=Limits(**limits),
    )


def users(count: float, meetings: int = 1) -> Load:
    return Load(count, 0, 0, meetings)


Given = tuple[Node, ObservedState, Load]


def choose(*given: Given, pool: str = "", expected_users: float = 0, **request: Any) -> list[Candidate]:
    observed = {node.id: state for node, state, _ in given}
    loads = {node.id: load for node, _, load in given}
    return candidates(
        [node for node, _, _ in given],
        observed,
        loads,
        Request(pool=Pool.parse(pool), expected_users=expected_users, **request),
    )


def taken(found: list[Candidate]) -> list[int]:
    return [each.node.id for each in found if not each.refusal]


def refusals(found: list[Candidate]) -> dict[int, str]:
    return {each.node.id: each.refusal for each in found}


@pytest.mark.parametrize(
    ("given", "order"),
    [
        # The least loaded first.
        ([(ENABLED, ONLINE, 20), (ENABLED, ONLINE, 5), (ENABLED, ONLINE, 10)], [2, 3, 1]),
        # Equally loaded ones in a fixed order.
        ([(ENABLED, ONLINE, 5), (ENABLED, ONLINE, 5)], [1, 2]),
        # Only those that the operator wants to take meetings.
        ([(DRAINING, ONLINE, 0), (DISABLED, ONLINE, 0), (ENABLED, ONLINE, 90)], [3]),
        # A stale node only if none is online, and a suspect one only if none is stale either.
        ([(ENABLED, STALE, 0), (ENABLED, ONLINE, 90)], [2]),
        ([(ENABLED, STALE, 0), (ENABLED, SUSPECT, 0)], [1]),
        ([(DRAINING, ONLINE, 0), (ENABLED, STALE, 9), (ENABLED, STALE, 5)], [3, 2]),
        ([(ENABLED, SUSPECT, 0), (ENABLED, UNREACHABLE, 0)], [1]),
        # Never an unreachable one, or one that was never polled.
        ([(ENABLED, UNREACHABLE, 0), (ENABLED, UNKNOWN, 0)], []),
        ([], []),
    ],
)
def test_order(given: list[tuple[AdminState, ObservedState, float]], order: list[int]) -> None:
    nodes = [(node(number, state), seen, users(count)) for number, (state, seen, count) in enumerate(given, 1)]
    assert taken(choose(*nodes)) == order


def test_a_larger_node_takes_more() -> None:
    assert taken(choose((node(1, weight=2.0), ONLINE, users(30)), (node(2), ONLINE, users(20)))) == [1, 2]


def test_a_large_meeting_weighs_more_on_a_small_node() -> None:
    given = ((node(1, weight=4.0), ONLINE, users(120)), (node(2), ONLINE, users(20)))
    assert taken(choose(*given, expected_users=5)) == [2, 1]
    assert taken(choose(*given, expected_users=200)) == [1, 2]
    assert [each.score for each in choose(*given, expected_users=200)] == [80, 220]


def test_the_largest_of_several_empty_nodes_comes_first() -> None:
    nodes = [(node(number, weight=weight), ONLINE, EMPTY) for number, weight in ((1, 1.0), (2, 4.0), (3, 2.0))]
    assert taken(choose(*nodes)) == [2, 3, 1]


def test_of_equally_loaded_nodes_the_one_with_fewer_meetings_comes_first() -> None:
    given = ((node(1), ONLINE, users(20, meetings=3)), (node(2), ONLINE, users(20, meetings=2)))
    assert taken(choose(*given)) == [2, 1]


@pytest.mark.parametrize("reason", ["failed", "changed"])
def test_a_node_that_failed_or_changed_is_left_out_even_if_it_is_the_best(reason: str) -> None:
    left_out: dict[str, Any] = {reason: {1}}
    assert taken(choose((node(1), ONLINE, users(0)), (node(2), STALE, users(0)), **left_out)) == [2]


def test_only_one_node_will_do() -> None:
    given = ((node(1), ONLINE, users(0)), (node(2), ONLINE, users(50)))
    assert taken(choose(*given, only=2)) == [2]
    assert taken(choose(*given, only=3)) == []


def test_a_node_with_another_tenant_s_meeting_of_this_id_is_left_out() -> None:
    assert taken(choose((node(1), ONLINE, users(0)), (node(2), ONLINE, users(50)), foreign={1})) == [2]


POOLS: list[Given] = [
    (node(1), ONLINE, users(50)),
    (node(2), ONLINE, users(60)),
    (node(3, tags="exam"), ONLINE, users(90)),
    (node(4, tags="exam big"), ONLINE, users(70)),
    (node(5, tags="gpu"), ONLINE, users(80)),
]


@pytest.mark.parametrize(
    ("pool", "order"),
    [
        # No tag: nodes that are not kept for any.
        ("", [1, 2]),
        ("!", [1, 2]),
        ("exam", [4, 3]),
        ("exam!", [4, 3]),
        ("big", [4]),
        ("gpu;exam", [4, 5, 3]),
        ("gpu;none", [1, 2, 5]),
        ("gpu;none!", [1, 2, 5]),
        ("none", [1, 2]),
        # A tag that no node has.
        ("Exam", [1, 2]),
        ("lab", [1, 2]),
        ("lab!", []),
        ("lab;big!", [4]),
    ],
)
def test_pools(pool: str, order: list[int]) -> None:
    assert taken(choose(*POOLS, pool=pool)) == order


def test_a_tag_that_is_not_required_falls_back_if_its_nodes_take_nothing() -> None:
    plain = (node(1), ONLINE, users(90))
    for away in (
        (node(2, DRAINING, tags="exam"), ONLINE, users(0)),
        (node(2, tags="exam"), UNREACHABLE, users(0)),
        (node(2, tags="exam"), SUSPECT, users(0)),
        (node(2, tags="exam", hard_meetings=1), ONLINE, users(0)),
    ):
        assert taken(choose(plain, away, pool="exam")) == [1]
    # If the tag is required, its second-best node will do.
    assert taken(choose(plain, (node(2, tags="exam"), SUSPECT, users(0)), pool="exam!")) == [2]


@pytest.mark.parametrize(
    ("first", "load", "order"),
    [
        # Below its limits the score decides.
        (node(1, soft_meetings=4, hard_meetings=5), users(10, 3), [1, 2]),
        # A soft limit sends meetings elsewhere ...
        (node(1, soft_meetings=3), users(10, 3), [2, 1]),
        (node(1, soft_users=10), users(10, 3), [2, 1]),
        # ... and counts the users who are expected.
        (node(1, soft_users=20), Load(10, 4, 6, 3), [2, 1]),
        (node(1, soft_users=21), Load(10, 4, 6, 3), [1, 2]),
        # A hard limit refuses.
        (node(1, hard_meetings=3), users(10, 3), [2]),
        (node(1, hard_users=20), Load(10, 4, 6, 3), [2]),
        # Webcams do not count as users.
        (node(1, hard_users=20), Load(10, 0, 0, 3, video=15), [1, 2]),
    ],
)
def test_limits(first: Node, load: Load, order: list[int]) -> None:
    assert taken(choose((first, ONLINE, load), (node(2), ONLINE, users(50)))) == order


def test_if_all_nodes_are_at_their_soft_limits_the_score_decides_again() -> None:
    full = [(node(number, soft_users=10), ONLINE, users(count)) for number, count in ((1, 30), (2, 20))]
    assert taken(choose(*full)) == [2, 1]


def test_every_refusal_has_a_reason() -> None:
    found = choose(
        (node(1, DRAINING), ONLINE, EMPTY),
        (node(2), UNREACHABLE, EMPTY),
        (node(3), ONLINE, EMPTY),
        (node(4), ONLINE, EMPTY),
        (node(5), STALE, EMPTY),
        (node(6), ONLINE, users(9)),
        (node(7, tags="exam"), ONLINE, EMPTY),
        (node(8, hard_users=5), ONLINE, users(5)),
        (node(9), UNKNOWN, EMPTY),
        (node(10), ONLINE, EMPTY),
        failed={3},
        foreign={4},
        changed={10},
    )
    assert refusals(found) == {
        6: "",
        1: "draining",
        2: "unreachable",
        3: "that did not take this meeting",
        4: "with another meeting of this id",
        5: "stale",
        7: "kept for other tags",
        8: "at the limit of users",
        9: "never polled",
        10: "that has just changed",
    }
    assert found[0].node.id == 6


def test_the_error_says_how_many_nodes_refused_and_why() -> None:
    found = choose((node(1, DRAINING), ONLINE, EMPTY), (node(2, DRAINING), ONLINE, EMPTY), (node(3), UNKNOWN, EMPTY))
    error = unplaced(found, Pool.parse("lab"))
    assert error.message_key == "internalError"
    assert str(error) == "Could not find any available servers. (2 nodes draining, 1 node never polled)"
    assert str(unplaced([], Pool())) == "Could not find any available servers. (no node is registered)"


def test_a_required_tag_that_no_node_has_is_scalelite_s_failure() -> None:
    pool = Pool.parse("lab;room!")
    error = unplaced(choose(*POOLS, pool="lab;room!"), pool)
    assert error.message_key == "serverTagUnavailable"
    assert str(error) == (
        "There is no available server with the required tag=lab;room. (5 nodes without the tag asked for)"
    )


class Tags(tuple[str, ...]):
    """A node's tags, which must not be searched once for each word of a create."""

    def __contains__(self, tag: object) -> bool:
        raise AssertionError(f"searched the node's tags for {tag!r}")


def test_the_cost_of_a_create_with_very_many_tags_is_that_of_the_nodes_tags() -> None:
    pool = Pool.parse(";".join(f"tag{number}" for number in range(100_000)))
    assert pool.holds(Tags(("tag99999",)))
    assert not pool.holds(Tags(("exam",)))
    assert not pool.allows(Tags(("exam",)))
    assert pool.allows(Tags())


def test_a_megabyte_of_tags_is_shown_in_short() -> None:
    error = unplaced([], Pool.parse(f"{'long' * 250_000}!"))
    assert 200 < len(str(error)) < 400
