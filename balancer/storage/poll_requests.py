"""Wishes to have a node polled at once, handed to whichever process polls: a capped list in Redis."""

from collections.abc import Collection
from typing import cast

from balancer.storage import keys
from balancer.storage.cache import Redis, unavailable_as_ours

#: While nobody polls, older wishes are dropped: the first round polls every node anyway.
_KEPT = 1000
_ALL = ""


class PollRequests:
    """Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def ask(self, node_ids: Collection[int] = ()) -> None:
        """Have these nodes polled at once; without any, have the list of nodes reread and new ones polled."""
        with unavailable_as_ours(), self._client.pipeline() as pipeline:
            pipeline.rpush(keys.POLL_REQUESTS, *([str(node_id) for node_id in node_ids] or [_ALL]))
            pipeline.ltrim(keys.POLL_REQUESTS, -_KEPT, -1)
            pipeline.execute()

    def take(self, wait: float) -> int | None:
        """Wait up to ``wait`` seconds (below the client's timeout) for one wish: a node id, 0 for "reread the list",
        None where nobody asked."""
        with unavailable_as_ours():
            found = cast(list[str] | None, self._client.blpop([keys.POLL_REQUESTS], timeout=wait))
        return None if found is None else int(found[1] or 0)

    def clear(self) -> None:
        """Forget every wish: whoever begins to poll polls all nodes first."""
        with unavailable_as_ours():
            self._client.delete(keys.POLL_REQUESTS)
