"""Equal calls at the same time get the same answer."""

import threading
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from balancer.errors import NodeTimeoutError
from balancer.nodes.shared_answers import SharedAnswers


class Call:
    """Is in flight until a test lets it end; counts how often it was sent."""

    def __init__(self) -> None:
        self.sent = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.sent += 1
        self.begun.set()
        assert self.go.wait(10)
        if self.error:
            raise self.error
        return self.sent


class Callers:
    """Threads that call through one SharedAnswers."""

    def __init__(self) -> None:
        self.shared: SharedAnswers[int] = SharedAnswers()
        self._pool = ThreadPoolExecutor(8)
        self._waiting = threading.Semaphore(0)

    def get(self, call: Call, key: Hashable = "info") -> "Future[int]":
        """Begin a call in a thread; returns once the thread is about to make it."""
        future = self._pool.submit(self._get, call, key)
        assert self._waiting.acquire(timeout=10)
        return future

    def _get(self, call: Call, key: Hashable) -> int:
        self._waiting.release()
        return self.shared.get("bbb1", key, call)


@pytest.fixture
def callers() -> Callers:
    return Callers()


@pytest.fixture
def call() -> Call:
    return Call()


def test_the_second_gets_the_answer_of_the_first(callers: Callers, call: Call) -> None:
    first = callers.get(call)
    assert call.begun.wait(10)
    late = Call()
    others = [callers.get(late) for _ in range(4)]
    call.go.set()
    late.go.set()
    assert first.result(10) == 1
    # A thread that came only after the answer made a call of its own; no two did so at the same time.
    assert {other.result(10) for other in others} <= set(range(1, late.sent + 2))
    assert call.sent == 1


def test_an_error_is_shared_and_the_next_call_is_sent(callers: Callers, call: Call) -> None:
    call.error = NodeTimeoutError("hangs")
    first = callers.get(call)
    assert call.begun.wait(10)
    call.go.set()
    with pytest.raises(NodeTimeoutError):
        first.result(10)
    call.error = None
    assert callers.get(call).result(10) == 2


def test_other_calls_are_sent(callers: Callers, call: Call) -> None:
    callers.get(call, (1, "getMeetingInfo", b"meetingID=a"))
    assert call.begun.wait(10)
    for key in [(2, "getMeetingInfo", b"meetingID=a"), (1, "isMeetingRunning", b"meetingID=a")]:
        other = Call()
        other.go.set()
        assert callers.get(other, key).result(10) == 1
    call.go.set()


def test_after_a_change_no_call_gets_an_older_answer(callers: Callers, call: Call) -> None:
    first = callers.get(call)
    assert call.begun.wait(10)
    callers.shared.forget("another node")
    callers.shared.forget("bbb1")
    newer = Call()
    second = callers.get(newer)
    assert newer.begun.wait(10)
    call.go.set()
    first.result(10)
    # The end of the older call does not remove the newer one: a third still shares the newer one's answer.
    third_call = Call()
    with suppress(TimeoutError):
        callers.get(third_call).result(0.2)
    assert not third_call.sent
    newer.go.set()
    assert second.result(10) == 1
