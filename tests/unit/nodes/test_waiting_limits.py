"""How many calls may wait for one slow node, and when none is sent any longer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress

import pytest

from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.nodes.waiting_limits import FAILURES, PAUSE, WAITING, NodeLimits
from tests.manual_clock import Clock


@pytest.fixture
def limits(clock: Clock) -> NodeLimits:
    return NodeLimits(2, clock)


def enter(limits: NodeLimits, node: str, calls: int) -> ExitStack:
    """Calls to a node that are under way until the stack is closed."""
    stack = ExitStack()
    for _ in range(calls):
        stack.enter_context(limits.call(node))
    return stack


def test_more_calls_than_may_wait_are_sent_to_a_node_that_answers(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 3):
        clock.now += WAITING
        with limits.call("bbb1"):
            pass


def test_a_burst_of_calls_is_sent_as_fast_as_the_node_answers(limits: NodeLimits) -> None:
    under_way: set[int] = set()
    most: list[int] = []

    def call(number: int) -> None:
        with limits.call("bbb1"):
            under_way.add(number)
            most.append(len(under_way))
            time.sleep(0.01)
            under_way.remove(number)

    with ThreadPoolExecutor(30) as threads:
        for each in [threads.submit(call, number) for number in range(30)]:
            each.result()
    assert len(most) == 30
    assert max(most) <= 4


def test_if_a_node_hangs_during_a_burst_most_calls_are_soon_refused() -> None:
    limits, over = NodeLimits(2, waiting=0.1), threading.Event()

    def call() -> None:
        with limits.call("bbb1"):
            over.wait(10)

    with ThreadPoolExecutor(12) as threads:
        called = [threads.submit(call) for _ in range(12)]
        done, waiting = wait(called, timeout=2)
        over.set()
    assert len(waiting) == 4
    assert all(isinstance(each.exception(), NodeUnreachableError) for each in done)


def test_a_node_with_the_most_waiting_calls_gets_no_other_call(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 2):
        clock.now += WAITING + 0.1
        with pytest.raises(NodeUnreachableError) as raised, limits.call("bbb1"):
            pass
        assert raised.value.reason == "slow"


def test_other_nodes_are_not_affected(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 2):
        clock.now += 60
        with limits.call("bbb2"):
            pass


def test_a_node_gets_calls_again_once_the_waiting_ones_have_ended(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 2):
        clock.now += 60
    with limits.call("bbb1"):
        pass


def test_a_failed_call_no_longer_waits(limits: NodeLimits, clock: Clock) -> None:
    for _ in range(3):
        with suppress(OSError), limits.call("bbb1"):
            clock.now += 60
            raise OSError
    with limits.call("bbb1"):
        pass


def fail(limits: NodeLimits, node: str, error: NodeError, times: int = FAILURES) -> None:
    for _ in range(times):
        with suppress(NodeError), limits.call(node):
            raise error


@pytest.mark.parametrize("error", [NodeTimeoutError("hangs"), NodeUnreachableError("away"), NodeError("", "connect")])
def test_after_failures_in_a_row_no_call_is_sent_for_a_while(
    limits: NodeLimits, clock: Clock, error: NodeError
) -> None:
    fail(limits, "bbb1", error)
    with pytest.raises(NodeUnreachableError, match="without an answer") as raised, limits.call("bbb1"):
        pass
    assert raised.value.reason == error.reason
    with limits.call("bbb2"):
        pass
    clock.now += PAUSE
    with limits.call("bbb1"), pytest.raises(NodeUnreachableError), limits.call("bbb1"):
        pass  # one call tries, and no other at the same time
    with limits.call("bbb1"):
        pass


def test_the_error_has_the_reason_of_the_last_failure(limits: NodeLimits) -> None:
    fail(limits, "bbb1", NodeTimeoutError("hangs"), FAILURES - 1)
    fail(limits, "bbb1", NodeUnreachableError("refused", "connect"), 1)
    with pytest.raises(NodeUnreachableError) as raised, limits.call("bbb1"):
        pass
    assert raised.value.reason == "connect"


def test_failed_read_only_calls_do_not_prevent_a_create(limits: NodeLimits) -> None:
    for _ in range(FAILURES):
        with suppress(NodeError), limits.slot("bbb1", read_only=True), limits.outcome("bbb1", read_only=True):
            raise NodeTimeoutError("slow")
    with pytest.raises(NodeUnreachableError, match="without an answer"), limits.slot("bbb1", read_only=True):
        pass
    with limits.call("bbb1"):
        pass
    # That the create was answered says nothing about read-only calls.
    with pytest.raises(NodeUnreachableError, match="without an answer"), limits.slot("bbb1", read_only=True):
        pass


def test_waiting_read_only_calls_do_not_prevent_a_create(limits: NodeLimits, clock: Clock) -> None:
    with limits.slot("bbb1", read_only=True), limits.slot("bbb1", read_only=True):
        clock.now += WAITING + 0.1
        with (
            pytest.raises(NodeUnreachableError, match="already wait for its answer"),
            limits.slot("bbb1", read_only=True),
        ):
            pass
        with limits.call("bbb1"):
            pass


def test_waiting_creates_prevent_read_only_calls(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 2):
        clock.now += WAITING + 0.1
        with (
            pytest.raises(NodeUnreachableError, match="already wait for its answer"),
            limits.slot("bbb1", read_only=True),
        ):
            pass


def test_a_node_that_answers_with_an_error_still_gets_calls(limits: NodeLimits) -> None:
    fail(limits, "bbb1", NodeTimeoutError("hangs"), FAILURES - 1)
    fail(limits, "bbb1", NodeError("HTTP 500"), 1)
    fail(limits, "bbb1", NodeTimeoutError("hangs"), 1)
    with limits.call("bbb1"):
        pass


def test_a_call_that_is_not_sent_is_not_a_failure_of_the_node(limits: NodeLimits, clock: Clock) -> None:
    with enter(limits, "bbb1", 2):
        clock.now += 60
        for _ in range(FAILURES):
            with pytest.raises(NodeUnreachableError), limits.call("bbb1"):
                pass
    with limits.call("bbb1"):
        pass
