"""Polls of all nodes when a test wants them, instead of on the poller's schedule."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from balancer.core.nodes import Node
from balancer.polling import loop
from balancer.polling.client import RENEW_AFTER
from balancer.polling.poll import Watch
from balancer.settings import Settings


class PollRounds:
    """One poller that is not running."""

    def __init__(self, poller: loop.Poller) -> None:
        self._poller = poller
        self._remembered: int | None = None  #: fencing number of the lease

    @property
    def watch(self) -> Watch:
        return self._poller.watch

    async def run_once(self) -> bool:
        """Poll every node once, all at the same time; False if another process holds the lease."""
        fencing = await asyncio.to_thread(self._poller.lease.hold)
        if fencing is None:
            return False
        if fencing != self._remembered:
            await self.watch.remember()
            self._remembered = fencing
        polls = [self.watch.poll(node, fencing) for node in await self.watch.read_nodes()]
        await asyncio.gather(self._poller.renewal.keep(fencing), *polls)
        return True

    async def poll(self, node: Node) -> None:
        """Poll one node under the lease that is held."""
        assert self._remembered is not None
        await self.watch.poll(node, self._remembered)


@asynccontextmanager
async def opened(settings: Settings, *, renew_after: float = RENEW_AFTER) -> AsyncIterator[PollRounds]:
    async with loop.opened(settings, renew_after=renew_after) as poller:
        yield PollRounds(poller)
