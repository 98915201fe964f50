"""Keeps a copy of every running placement in Redis, so that joins find their meetings while PostgreSQL is away.

Requests and polls copy what they change; here is copied what nobody asks for: a meeting that runs for weeks, and all of
them after Redis was wiped.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from balancer import log
from balancer.errors import StorageUnavailableError
from balancer.storage.poll_stores import PollStores
from balancer.storage.redis.whereabouts import LIFE

#: Seconds between two rounds through all placements: several may fail before a copy runs out.
EVERY = LIFE / 6

logger = log.get(__name__)


class WhereaboutsRenewal:
    """What the process that polls copies."""

    def __init__(self, stores: PollStores, threads: Executor, *, clock: Callable[[], float] = time.monotonic) -> None:
        """threads: where calls to the stores run."""
        self._stores = stores
        self._threads = threads
        self._clock = clock
        self._copied_under: int | None = None
        self._due = 0.0  #: by the clock

    async def keep(self, fencing: int) -> None:
        """Copy all where it is time to; to be called again and again under the lease of that number.

        A new number makes it time: another process had the lease before, or Redis lost it with the copies.
        A store that is away is logged, and it stays time.
        """
        began = self._clock()
        if fencing == self._copied_under and began < self._due:
            return
        try:
            count = await asyncio.get_running_loop().run_in_executor(self._threads, self._stores.copy_running)
        except StorageUnavailableError as error:
            logger.warning("placements not copied", reason=str(error))
            return
        self._copied_under, self._due = fencing, began + EVERY
        logger.info("placements copied", count=count, seconds=round(self._clock() - began, 3))
