"""Renews the copy of every running placement in Redis, so that joins find their meetings while PostgreSQL is away.

Requests and polls copy only what they change. Meetings that run for weeks have to be copied again, and all meetings
after Redis was wiped.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from balancer import log
from balancer.errors import StorageUnavailableError
from balancer.storage.poll_stores import PollStores
from balancer.storage.redis.whereabouts import LIFE

#: Seconds between two rounds through all placements: several may fail before a copy expires.
EVERY = LIFE / 6

logger = log.get(__name__)


class WhereaboutsRenewal:
    """For the process that polls."""

    def __init__(self, stores: PollStores, threads: Executor, *, clock: Callable[[], float] = time.monotonic) -> None:
        """threads: where calls to the stores run."""
        self._stores = stores
        self._threads = threads
        self._clock = clock
        self._copied_under: int | None = None
        self._due = 0.0  #: by the clock

    async def keep(self, fencing: int) -> None:
        """Copy all placements if that is due. Call it repeatedly, with the lease's fencing number.

        A new number makes it due: another process held the lease before, or Redis lost it together with the copies.
        If a store is away, that is logged, and the copies stay due.
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
