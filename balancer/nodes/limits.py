"""How long a process waits for slow nodes: a node that answers slowly must not hold the threads that others need.

Questions are calls that change nothing and have little time. A busy node may answer none of them, and still take every
create in good time: so they have a circuit of their own, and those that wait stand in the way of no other call.
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

#: Seconds after which a call counts as one that waits; a node in health answers well within.
WAITING = 1.0
#: Times the limit: calls under way to one node beyond which the next one waits for room, as long as that.
_CROWD = 2
#: With any other reason the node answered, whatever it said.
_NO_ANSWER = frozenset({"dns", "connect", "tls", "slow"})

logger = log.get(__name__)


class _Call(NamedTuple):
    """One that is under way."""

    began: float
    question: bool


class NodeLimits:
    """Calls under way and the circuit, by node. Threads share it."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """limit: calls that may wait for one node at a time; clock: seconds."""
        self._limit = limit
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way: dict[str, list[_Call]] = defaultdict(list)
        self._circuits: dict[tuple[str, bool], Circuit] = {}  #: of nodes that failed last; True: for questions

    @contextmanager
    def call(self, node: str, *, question: bool = False) -> Iterator[None]:
        """One call to the node. Raises NodeUnreachableError, before anything is sent, where too many wait for it or
        the last ones all went without an answer."""
        with self.wait(node, question=question), self.judge(node, question=question):
            yield

    @contextmanager
    def judge(self, node: str, *, question: bool = False) -> Iterator[None]:
        """What is sent to the node: whether it is answered decides over the calls that follow."""
        try:
            yield
        except NodeError as error:
            self._learn((node, question), error.reason if error.reason in _NO_ANSWER else "")
            raise
        else:
            self._learn((node, question), "")

    @contextmanager
    def wait(self, node: str, *, question: bool = False) -> Iterator[None]:
        """A thread that waits for the node, maybe for what another one sent. Raises as ``call``."""
        call = self._begin(node, question)
        try:
            yield
        finally:
            with self._changed:
                self._under_way[node].remove(call)
                if not self._under_way[node]:
                    del self._under_way[node]
                self._changed.notify_all()

    def _begin(self, node: str, question: bool) -> "_Call":
        with self._changed:
            # Of a burst to a node that has just begun to hang, not everybody may find out for himself: who comes late
            # waits for room, and when there is none those before him have waited for so long that they count.
            self._changed.wait_for(lambda: len(self._under_way.get(node, ())) < _CROWD * self._limit, WAITING)
            began = self._clock()
            circuit = self._circuits.get((node, question))
            if circuit and not circuit.admits(began):
                told = f"the last {circuit.failures} calls went without an answer"
                raise NodeUnreachableError(told, circuit.reason)
            waiting = sum(
                began - each.began > WAITING for each in self._under_way.get(node, ()) if question or not each.question
            )
            if waiting >= self._limit:
                raise NodeUnreachableError(f"{waiting} calls wait for its answer already", "slow")
            if circuit:
                self._circuits[node, question] = circuit.tried(began)
            call = _Call(began, question)
            self._under_way[node].append(call)
        return call

    def _learn(self, about: tuple[str, bool], reason: str) -> None:
        """reason: why there was no answer; "" where there was one."""
        with self._changed:
            before = self._circuits.get(about, Circuit())
            if reason:
                self._circuits[about] = before.failed(self._clock(), reason)
            else:
                self._circuits.pop(about, None)
            opened = reason and before.failures == FAILURES - 1
        node, question = about
        if opened:
            logger.warning("node left alone", url=node, questions=question, failures=FAILURES, reason=reason)
        elif not reason and before.failures >= FAILURES:
            logger.info("node answers again", url=node, questions=question)
