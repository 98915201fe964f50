"""What the nodes list right now, for callers who cannot do with the last poll: asked all at once, until a deadline."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime

from balancer import log
from balancer.core.listing import Part
from balancer.core.node_call import seen_meetings
from balancer.core.nodes import Node
from balancer.errors import NodeError
from balancer.nodes.client import NodeClient
from balancer.nodes.shared_answers import SharedAnswers
from balancer.settings import Settings

#: Nodes that a process asks at one time.
_AT_ONCE = 16
#: Share of the time below which a node is not asked: its silence would count against it, and be others' fault.
_FAIR = 0.5
#: A quarter of a process's threads at most waits for the nodes together.
_WAITING_SHARE = 4

logger = log.get(__name__)


class LiveListing:
    """One for a process. Threads share it, and the rounds through the nodes."""

    def __init__(self, settings: Settings, client: NodeClient) -> None:
        self._client = client
        self._seconds = settings.node_info_timeout
        self._threads = ThreadPoolExecutor(_AT_ONCE, "live")
        self._rounds: SharedAnswers[Mapping[int, Part]] = SharedAnswers()
        self._callers = threading.BoundedSemaphore(max(1, settings.web_threads // _WAITING_SHARE))

    def parts(self, nodes: Collection[Node], now: Callable[[], datetime]) -> Mapping[int, Part]:
        """By node id, what those list that answered in time; none at all where too many callers wait already.

        now: PostgreSQL's time. Raises StorageUnavailableError where that is not to be had.
        """
        if not self._callers.acquire(blocking=False):
            logger.info("not listed live: too many wait for it")
            return {}
        try:
            # What nodes list is not any tenant's yet, so a round that is under way serves every caller. It may have
            # begun before a change that a caller knows of: rows tell which meetings came and went, a header its age.
            return self._rounds.ask("nodes", "", lambda: self._round(nodes, now()))
        finally:
            self._callers.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _round(self, nodes: Collection[Node], started: datetime) -> Mapping[int, Part]:
        deadline = time.monotonic() + self._seconds
        asked = {self._threads.submit(self._list, node, started, deadline): node for node in nodes}
        done, late = wait(asked, timeout=self._seconds)
        for future in late:
            future.cancel()
        found = {asked[future].id: future.result() for future in done}
        return {node_id: part for node_id, part in found.items() if part is not None}

    def _list(self, node: Node, started: datetime, deadline: float) -> Part | None:
        left = deadline - time.monotonic()
        if left < self._seconds * _FAIR:
            logger.info("not listed live", node=node.name, reason="the nodes before it took the time")
            return None
        try:
            answer = self._client.list_meetings(node, left)
            return Part(started, {meeting.internal_meeting_id: meeting.xml for meeting in seen_meetings(answer)})
        except NodeError as error:
            logger.info("not listed live", node=node.name, reason=str(error))
            return None
