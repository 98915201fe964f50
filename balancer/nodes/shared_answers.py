"""Equal questions that are asked at one time, and the one answer that all of them get."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Questions under way, by whom they are put to. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, Hashable], Future[T]] = {}

    def ask(self, whom: str, question: Hashable, put: Callable[[], T]) -> T:
        """The answer of ``put``, or of another thread's that asks the same right now; an error is shared likewise."""
        key = (whom, question)
        with self._lock:
            shared = self._under_way.get(key)
            if shared is None:
                own = self._under_way[key] = Future()
        if shared is not None:
            return shared.result()
        try:
            answer = put()
        except BaseException as error:
            self._drop(key, own)
            own.set_exception(error)
            raise
        self._drop(key, own)
        own.set_result(answer)
        return answer

    def outdate(self, whom: str) -> None:
        """Something changed there: who asks from now on does not get an answer to an earlier question."""
        with self._lock:
            for key in [key for key in self._under_way if key[0] == whom]:
                del self._under_way[key]

    def _drop(self, key: tuple[str, Hashable], own: "Future[T]") -> None:
        with self._lock:
            if self._under_way.get(key) is own:
                del self._under_way[key]
