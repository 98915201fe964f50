"""Limits of what slow nodes may cost a process: one slow node must not hold the threads that other nodes need.

Read-only calls change nothing and have short timeouts. A busy node may answer none of them, and still every create in
time. So they have a circuit of their own, and those that wait do not count against other calls.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from balancer import log
from balancer.core.breaker import Breaker
from balancer.errors import NodeError, NodeUnreachableError

#: Seconds after which a call counts as waiting; a healthy node answers well within.
WAITING = 1.0
#: Calls under way to one node, as a multiple of the limit, at which further calls queue for up to ``WAITING`` seconds.
_QUEUE_FROM = 2
#: Calls in a row without an answer after which a node's circuit opens.
FAILURES = 3
#: Seconds without calls after such a failure; also the time that a trial call has to itself.
PAUSE = 2.0
#: Reasons of errors that came without an answer. With any other reason the node did answer.
_NO_ANSWER = frozenset({"dns", "connect", "tls", "slow"})

logger = log.get(__name__)


class _CallUnderWay(NamedTuple):
    began: float  #: seconds of the clock
    read_only: bool


class NodeLimits:
    """Counts calls under way and keeps circuits, by the node's URL. Threads share it."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic, *, waiting: float = WAITING) -> None:
        """limit: calls that may wait for one node; clock, waiting: seconds."""
        self._limit = limit
        self._clock = clock
        self._waiting = waiting
        self._changed = threading.Condition()
        self._under_way: dict[str, list[_CallUnderWay]] = defaultdict(list)
        #: By node and read_only; present once a call failed.
        self._circuits: dict[tuple[str, bool], Breaker] = {}

    @contextmanager
    def call(self, node: str, *, read_only: bool = False) -> Iterator[None]:
        """One call to the node: ``slot`` and ``outcome`` together."""
        with self.slot(node, read_only=read_only), self.outcome(node, read_only=read_only):
            yield

    @contextmanager
    def slot(self, node: str, *, read_only: bool = False) -> Iterator[None]:
        """Count this thread as waiting for the node, for its own call's answer or a shared one.

        Raises NodeUnreachableError, before anything is sent, if too many threads wait for the node or its circuit is
        open.
        """
        call = self._begin(node, read_only)
        try:
            yield
        finally:
            with self._changed:
                self._under_way[node].remove(call)
                if not self._under_way[node]:
                    del self._under_way[node]
                self._changed.notify_all()

    @contextmanager
    def outcome(self, node: str, *, read_only: bool = False) -> Iterator[None]:
        """Record whether the node answers the call that the block sends."""
        try:
            yield
        except NodeError as error:
            self._record((node, read_only), error.reason if error.reason in _NO_ANSWER else "")
            raise
        else:
            self._record((node, read_only), "")

    def _begin(self, node: str, read_only: bool) -> _CallUnderWay:
        with self._changed:
            # If a node starts to hang during a burst, not every thread should have to find out. Latecomers queue; if no
            # call ends in that time, the calls ahead of them are old enough to count as waiting.
            self._changed.wait_for(
                lambda: len(self._under_way.get(node, ())) < _QUEUE_FROM * self._limit, self._waiting
            )
            began = self._clock()
            waiting = sum(
                began - call.began > self._waiting
                for call in self._under_way.get(node, ())
                if read_only or not call.read_only
            )
            if waiting >= self._limit:
                raise NodeUnreachableError(f"{waiting} calls already wait for its answer", "slow")
            # Last, because admitting a call to an open circuit makes it the trial call.
            circuit = self._circuits.get((node, read_only))
            if circuit and not circuit.admit():
                message = f"the last {circuit.failures} calls went without an answer"
                raise NodeUnreachableError(message, circuit.reason)
            call = _CallUnderWay(began, read_only)
            self._under_way[node].append(call)
        return call

    def _record(self, key: tuple[str, bool], reason: str) -> None:
        """reason: why there was no answer; "" if there was one."""
        node, read_only = key
        with self._changed:
            if reason and key not in self._circuits:
                self._circuits[key] = Breaker(PAUSE, self._clock, failures=FAILURES)
            circuit = self._circuits.get(key)
        if circuit is None:
            return
        if reason and circuit.failed(reason):
            logger.warning("circuit opened", url=node, read_only=read_only, failures=FAILURES, reason=reason)
        elif not reason and circuit.answered():
            logger.info("circuit closed", url=node, read_only=read_only)
