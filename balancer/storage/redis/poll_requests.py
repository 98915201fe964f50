"""Wishes to have a node polled at once, handed to whichever process polls: a capped list in Redis."""

from collections.abc import Collection
from typing import cast

from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis, unavailable_as_ours

#: While nobody polls, older wishes are dropped: the first round polls every node anyway.
_KEPT = 1000
_ALL = ""

# One command, since a pipeline would wait for a Redis that is known to hang. KEYS: wishes. ARGV: how many are kept, and
# the new ones.
_ASK = """
redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('LTRIM', KEYS[1], -ARGV[1], -1)
"""


class PollRequests:
    """Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._ask = client.register_script(_ASK)

    def ask(self, node_ids: Collection[int] = ()) -> None:
        """Have these nodes polled at once; without any, have the list of nodes reread and new ones polled."""
        with unavailable_as_ours():
            self._ask(keys=[keys.POLL_REQUESTS], args=[_KEPT, *([str(node_id) for node_id in node_ids] or [_ALL])])

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
