"""Requests to poll a node at once, passed to whichever process polls: a capped list in Redis."""

from collections.abc import Collection
from typing import cast

from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis

#: While no poller runs, older requests are dropped: the first round polls every node anyway.
_KEPT = 1000
_ALL = ""


class PollRequests:
    """Every method raises StorageUnavailableError if Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def ask(self, node_ids: Collection[int] = ()) -> None:
        """Request a poll of these nodes; without any, request that the list of nodes is read again and new ones are
        polled."""
        with self._client.guarded(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.rpush(keys.POLL_REQUESTS, *([str(node_id) for node_id in node_ids] or [_ALL]))
            pipeline.ltrim(keys.POLL_REQUESTS, -_KEPT, -1)
            pipeline.execute()

    def take(self, wait: float) -> int | None:
        """Wait up to ``wait`` seconds (below the client's timeout) for a request.

        Returns a node's ID, 0 for "read the list again", or None if there was no request.
        """
        with self._client.guarded():
            entry = cast(list[str] | None, self._client.blpop([keys.POLL_REQUESTS], timeout=wait))
        return None if entry is None else int(entry[1] or 0)

    def clear(self) -> None:
        """Drop all requests: a process that starts to poll polls all nodes first."""
        with self._client.guarded():
            self._client.delete(keys.POLL_REQUESTS)
