"""Asks all nodes at once what meetings they have now, for callers that cannot use the last poll."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime

from balancer import log
from balancer.core.meeting_list import Part
from balancer.core.node_call import seen_meetings
from balancer.core.nodes import Node
from balancer.errors import NodeError
from balancer.nodes.client import NodeClient
from balancer.nodes.shared_answers import SharedAnswers
from balancer.settings import Settings

#: Nodes that a process asks at the same time.
CONCURRENCY = 16
#: A node is skipped if less than this share of the time is left: its timeout would count against it, although other
#: nodes used the time up.
_LEAST_SHARE = 0.5
#: At most one in so many threads of a process waits for a round.
_WAITING_SHARE = 4

logger = log.get(__name__)


class LiveListings:
    """One for a process. Threads share it, and each round of calls."""

    def __init__(self, settings: Settings, client: NodeClient, *, concurrency: int = CONCURRENCY) -> None:
        self._client = client
        self._timeout = settings.node_info_timeout
        self._threads = ThreadPoolExecutor(concurrency, "live")
        self._rounds: SharedAnswers[Mapping[int, Part]] = SharedAnswers()
        self._callers = threading.BoundedSemaphore(max(1, settings.web_threads // _WAITING_SHARE))

    def parts(self, nodes: Collection[Node], now: Callable[[], datetime]) -> Mapping[int, Part]:
        """The lists of the nodes that answer in time, by node id; none at all if too many callers already wait.

        now: PostgreSQL's time. Raises StorageUnavailableError if ``now`` does.
        """
        if not self._callers.acquire(blocking=False):
            logger.info("not listed live: too many wait for it")
            return {}
        try:
            # A round is the same for every tenant, so all callers share it. It may have begun before a change that a
            # caller knows of: rows say which meetings came and went since, and a header says how old the list is.
            return self._rounds.get("nodes", "", lambda: self._round(nodes, now()))
        finally:
            self._callers.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _round(self, nodes: Collection[Node], started: datetime) -> Mapping[int, Part]:
        deadline = time.monotonic() + self._timeout
        calls = {self._threads.submit(self._list, node, started, deadline): node for node in nodes}
        done, late = wait(calls, timeout=self._timeout)
        for future in late:
            future.cancel()
        parts = {calls[future].id: future.result() for future in done}
        return {node_id: part for node_id, part in parts.items() if part is not None}

    def _list(self, node: Node, started: datetime, deadline: float) -> Part | None:
        left = deadline - time.monotonic()
        if left < self._timeout * _LEAST_SHARE:
            logger.info("not listed live", node=node.name, reason="the nodes before it used up the time")
            return None
        try:
            answer = self._client.list_meetings(node, left)
            return Part(started, {meeting.internal_meeting_id: meeting.xml for meeting in seen_meetings(answer)})
        except NodeError as error:
            logger.info("not listed live", node=node.name, reason=str(error))
            return None
