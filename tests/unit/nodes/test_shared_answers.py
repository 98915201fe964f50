"""Who asks the same at one time gets the same answer."""

import threading
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from balancer.errors import NodeTimeoutError
from balancer.nodes.shared_answers import SharedAnswers


class Question:
    """One that is under way until it is let go; it counts how often it was put."""

    def __init__(self) -> None:
        self.put = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.put += 1
        self.begun.set()
        assert self.go.wait(10)
        if self.error:
            raise self.error
        return self.put


class Askers:
    """Threads that ask through one SharedAnswers."""

    def __init__(self) -> None:
        self.shared: SharedAnswers[int] = SharedAnswers()
        self._pool = ThreadPoolExecutor(8)
        self._waiting = threading.Semaphore(0)

    def ask(self, question: Question, key: Hashable = "info") -> "Future[int]":
        """Begin to ask; comes back once the asker is about to."""
        asked = self._pool.submit(self._ask, question, key)
        assert self._waiting.acquire(timeout=10)
        return asked

    def _ask(self, question: Question, key: Hashable) -> int:
        self._waiting.release()
        return self.shared.ask("bbb1", key, question)


@pytest.fixture
def askers() -> Askers:
    return Askers()


@pytest.fixture
def question() -> Question:
    return Question()


def test_the_second_gets_the_first_ones_answer(askers: Askers, question: Question) -> None:
    first = askers.ask(question)
    assert question.begun.wait(10)
    late = Question()
    others = [askers.ask(late) for _ in range(4)]
    question.go.set()
    late.go.set()
    assert first.result(10) == 1
    # One that came only after the answer has asked anew; no two of them ever did so beside each other.
    assert {other.result(10) for other in others} <= set(range(1, late.put + 2))
    assert question.put == 1


def test_an_error_is_shared_and_the_next_asks_anew(askers: Askers, question: Question) -> None:
    question.error = NodeTimeoutError("hangs")
    first = askers.ask(question)
    assert question.begun.wait(10)
    question.go.set()
    with pytest.raises(NodeTimeoutError):
        first.result(10)
    question.error = None
    assert askers.ask(question).result(10) == 2


def test_other_questions_are_put(askers: Askers, question: Question) -> None:
    askers.ask(question, (1, "getMeetingInfo", b"meetingID=a"))
    assert question.begun.wait(10)
    for key in [(2, "getMeetingInfo", b"meetingID=a"), (1, "isMeetingRunning", b"meetingID=a")]:
        other = Question()
        other.go.set()
        assert askers.ask(other, key).result(10) == 1
    question.go.set()


def test_after_a_change_nobody_gets_an_older_answer(askers: Askers, question: Question) -> None:
    first = askers.ask(question)
    assert question.begun.wait(10)
    askers.shared.outdate("another node")
    askers.shared.outdate("bbb1")
    newer = Question()
    second = askers.ask(newer)
    assert newer.begun.wait(10)
    question.go.set()
    first.result(10)
    # The end of the older question does not take the newer one's place from it.
    third_question = Question()
    with suppress(TimeoutError):
        askers.ask(third_question).result(0.2)
    assert not third_question.put
    newer.go.set()
    assert second.result(10) == 1
