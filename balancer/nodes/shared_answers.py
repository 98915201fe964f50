"""Lets equal calls that are in flight at the same time share one answer (single flight)."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Calls in flight, by node. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: dict[tuple[str, Hashable], Future[T]] = {}

    def get(self, node: str, call: Hashable, send: Callable[[], T]) -> T:
        """The result of ``send``, or of an equal call's that is in flight in another thread; errors are shared too."""
        key = (node, call)
        with self._lock:
            shared = self._in_flight.get(key)
            if shared is None:
                own = self._in_flight[key] = Future()
        if shared is not None:
            return shared.result()
        try:
            answer = send()
        except BaseException as error:
            self._remove(key, own)
            own.set_exception(error)
            raise
        self._remove(key, own)
        own.set_result(answer)
        return answer

    def forget(self, node: str) -> None:
        """Share no call that is in flight to this node any longer, because the node's state has changed."""
        with self._lock:
            for key in [key for key in self._in_flight if key[0] == node]:
                del self._in_flight[key]

    def _remove(self, key: tuple[str, Hashable], own: "Future[T]") -> None:
        with self._lock:
            if self._in_flight.get(key) is own:
                del self._in_flight[key]
