"""Equal questions that are asked at one time, and the one answer that all of them get."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Questions under way, by whom they are put to. Threads share it.

    joinable: seconds for which others may join a question that was asked. Later its answer may be from before a change
    that they know of already, made by way of another process, where ``outdate`` is not heard.
    """

    def __init__(self, joinable: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._joinable = joinable
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, Hashable], tuple[float, Future[T]]] = {}

    def ask(self, whom: str, question: Hashable, put: Callable[[], T]) -> T:
        """The answer of ``put``, or of another thread's that asks the same right now; an error is shared likewise."""
        key = (whom, question)
        with self._lock:
            now = self._clock()
            asked, shared = self._under_way.get(key, (-math.inf, None))
            if shared is None or now - asked > self._joinable:
                shared, own = None, Future[T]()
                self._under_way[key] = (now, own)
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
            if key in self._under_way and self._under_way[key][1] is own:
                del self._under_way[key]
