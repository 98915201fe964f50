"""How long a process waits for slow nodes: a node that answers slowly must not hold the threads that others need."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from balancer.errors import NodeUnreachableError

#: Seconds after which a call counts as one that waits; a node in health answers well within.
WAITING = 1.0


class Patience:
    """Calls under way, by node. Threads share it."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """limit: calls that may wait for one node at a time; clock: seconds."""
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def call(self, node: str) -> Iterator[None]:
        """One call to the node. Raises NodeUnreachableError, before anything is sent, where too many wait for it."""
        began = self._clock()
        with self._lock:
            waiting = sum(began - since > WAITING for since in self._under_way[node])
            if waiting >= self._limit:
                raise NodeUnreachableError(f"{waiting} calls wait for its answer already", "slow")
            self._under_way[node].append(began)
        try:
            yield
        finally:
            with self._lock:
                self._under_way[node].remove(began)
                if not self._under_way[node]:
                    del self._under_way[node]
