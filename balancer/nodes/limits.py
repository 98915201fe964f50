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
from balancer.core.circuit import FAILURES, Circuit
from balancer.errors import NodeError, NodeUnreachableError

#: Seconds after which a call counts as waiting; a healthy node answers well within.
WAITING = 1.0
#: Calls under way to one node, as a multiple of the limit, at which further calls queue for up to ``WAITING`` seconds.
_QUEUE_FROM = 2
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
        #: By node and read_only; present if the last call failed.
        self._circuits: dict[tuple[str, bool], Circuit] = {}

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
            # call ends meanwhile, the calls ahead of them are old enough to count as waiting.
            self._changed.wait_for(
                lambda: len(self._under_way.get(node, ())) < _QUEUE_FROM * self._limit, self._waiting
            )
            began = self._clock()
            circuit = self._circuits.get((node, read_only))
            if circuit and not circuit.admits(began):
                message = f"the last {circuit.failures} calls went without an answer"
                raise NodeUnreachableError(message, circuit.reason)
            waiting = sum(
                began - call.began > self._waiting
                for call in self._under_way.get(node, ())
                if read_only or not call.read_only
            )
            if waiting >= self._limit:
                raise NodeUnreachableError(f"{waiting} calls already wait for its answer", "slow")
            if circuit:
                self._circuits[node, read_only] = circuit.tried(began)
            call = _CallUnderWay(began, read_only)
            self._under_way[node].append(call)
        return call

    def _record(self, key: tuple[str, bool], reason: str) -> None:
        """reason: why there was no answer; "" if there was one."""
        with self._changed:
            before = self._circuits.get(key, Circuit())
            if reason:
                self._circuits[key] = before.failed(self._clock(), reason)
            else:
                self._circuits.pop(key, None)
        node, read_only = key
        if reason and before.failures == FAILURES - 1:
            logger.warning("circuit opened", url=node, read_only=read_only, failures=FAILURES, reason=reason)
        elif not reason and before.failures >= FAILURES:
            logger.info("circuit closed", url=node, read_only=read_only)
