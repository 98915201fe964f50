"""How many calls may wait for one slow node."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress

import pytest

from balancer.core.circuit import FAILURES, REST
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.nodes import limits as patience_module
from balancer.nodes.limits import WAITING, NodeLimits


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> NodeLimits:
    return NodeLimits(2, clock)


def enter(patience: NodeLimits, node: str, calls: int) -> ExitStack:
    """Calls to a node that go on until the stack is closed."""
    stack = ExitStack()
    for _ in range(calls):
        stack.enter_context(patience.call(node))
    return stack


def test_more_calls_than_may_wait_are_let_through_to_a_node_that_answers(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 3):
        clock.now += WAITING
        with patience.call("bbb1"):
            pass


def test_a_crowd_of_calls_is_let_through_as_the_node_answers(patience: NodeLimits) -> None:
    inside: list[int] = []

    def call() -> None:
        with patience.call("bbb1"):
            inside.append(len(patience._under_way["bbb1"]))
            time.sleep(0.01)

    with ThreadPoolExecutor(30) as threads:
        for each in [threads.submit(call) for _ in range(30)]:
            each.result()
    assert len(inside) == 30
    assert max(inside) <= 4


def test_of_a_crowd_that_comes_to_a_node_as_it_hangs_most_are_soon_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "WAITING", 0.1)
    patience, over = NodeLimits(2), threading.Event()

    def call() -> None:
        with patience.call("bbb1"):
            over.wait(10)

    with ThreadPoolExecutor(12) as threads:
        called = [threads.submit(call) for _ in range(12)]
        done, waiting = wait(called, timeout=2)
        over.set()
    assert len(waiting) == 4
    assert all(isinstance(each.exception(), NodeUnreachableError) for each in done)


def test_beyond_its_limit_of_waiting_calls_a_node_gets_no_more(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 2):
        clock.now += WAITING + 0.1
        with pytest.raises(NodeUnreachableError) as raised, patience.call("bbb1"):
            pass
        assert raised.value.reason == "slow"


def test_other_nodes_are_not_concerned(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 2):
        clock.now += 60
        with patience.call("bbb2"):
            pass


def test_once_they_have_ended_it_gets_calls_again(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 2):
        clock.now += 60
    with patience.call("bbb1"):
        pass


def test_a_call_that_fails_waits_no_more(patience: NodeLimits, clock: Clock) -> None:
    for _ in range(3):
        with suppress(OSError), patience.call("bbb1"):
            clock.now += 60
            raise OSError
    with patience.call("bbb1"):
        pass


def fail(patience: NodeLimits, node: str, error: NodeError, times: int = FAILURES) -> None:
    for _ in range(times):
        with suppress(NodeError), patience.call(node):
            raise error


@pytest.mark.parametrize("error", [NodeTimeoutError("hangs"), NodeUnreachableError("away"), NodeError("", "connect")])
def test_after_failures_in_a_row_a_node_is_left_alone_for_a_while(
    patience: NodeLimits, clock: Clock, error: NodeError
) -> None:
    fail(patience, "bbb1", error)
    with pytest.raises(NodeUnreachableError, match="without an answer") as raised, patience.call("bbb1"):
        pass
    assert raised.value.reason == error.reason
    with patience.call("bbb2"):
        pass
    clock.now += REST
    with patience.call("bbb1"), pytest.raises(NodeUnreachableError), patience.call("bbb1"):
        pass  # one call tries, and no other beside it
    with patience.call("bbb1"):
        pass


def test_a_refusal_tells_why_the_last_call_had_no_answer(patience: NodeLimits) -> None:
    fail(patience, "bbb1", NodeTimeoutError("hangs"), FAILURES - 1)
    fail(patience, "bbb1", NodeUnreachableError("refused", "connect"), 1)
    with pytest.raises(NodeUnreachableError) as raised, patience.call("bbb1"):
        pass
    assert raised.value.reason == "connect"


def test_questions_without_an_answer_keep_nobody_from_a_create(patience: NodeLimits) -> None:
    for _ in range(FAILURES):
        with suppress(NodeError), patience.wait("bbb1", question=True), patience.judge("bbb1", question=True):
            raise NodeTimeoutError("slow")
    with pytest.raises(NodeUnreachableError, match="without an answer"), patience.wait("bbb1", question=True):
        pass
    with patience.call("bbb1"):
        pass
    # And that it was answered says nothing of the questions.
    with pytest.raises(NodeUnreachableError, match="without an answer"), patience.wait("bbb1", question=True):
        pass


def test_questions_that_wait_keep_nobody_from_a_create(patience: NodeLimits, clock: Clock) -> None:
    with patience.wait("bbb1", question=True), patience.wait("bbb1", question=True):
        clock.now += WAITING + 0.1
        with pytest.raises(NodeUnreachableError, match="wait for its answer"), patience.wait("bbb1", question=True):
            pass
        with patience.call("bbb1"):
            pass


def test_creates_that_wait_leave_no_thread_to_questions(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 2):
        clock.now += WAITING + 0.1
        with pytest.raises(NodeUnreachableError, match="wait for its answer"), patience.wait("bbb1", question=True):
            pass


def test_a_node_that_answers_with_an_error_gets_calls_still(patience: NodeLimits) -> None:
    fail(patience, "bbb1", NodeTimeoutError("hangs"), FAILURES - 1)
    fail(patience, "bbb1", NodeError("HTTP 500"), 1)
    fail(patience, "bbb1", NodeTimeoutError("hangs"), 1)
    with patience.call("bbb1"):
        pass


def test_a_refusal_of_ours_is_no_failure_of_the_node(patience: NodeLimits, clock: Clock) -> None:
    with enter(patience, "bbb1", 2):
        clock.now += 60
        for _ in range(FAILURES):
            with pytest.raises(NodeUnreachableError), patience.call("bbb1"):
                pass
    with patience.call("bbb1"):
        pass
