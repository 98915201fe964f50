"""Watches every node: one getMeetings a node and poll, each node on a schedule and with a deadline of its own.

A poll writes the node's snapshot to Redis, its state to PostgreSQL where that changed, and settles the rows of its
meetings. It never writes what the operator wants, and it ends nothing but what a timed-out create of ours left over.
A lease decides which process polls; that one also keeps the copies of placements that joins are answered from.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TypeVar

from balancer import log
from balancer.core.nodes import Node
from balancer.errors import StorageUnavailableError
from balancer.polling.client import AsyncNodeClient
from balancer.polling.poll import Watch
from balancer.polling.whereabouts_renewal import WhereaboutsRenewal
from balancer.settings import Settings
from balancer.storage.lease import POLLER, Lease
from balancer.storage.poll_stores import PollStores
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests

T = TypeVar("T")
logger = log.get(__name__)

#: A holder that dies is followed after this many poll intervals at most, and half an interval for the next one's try.
LEASE_INTERVALS = 2.0
#: Name servers may hang: each name that is being resolved takes one thread.
RESOLVER_THREADS = 64
STORE_THREADS = 4
#: Seconds that a transaction may take: three of its statements at their limit.
STORE_PATIENCE = 30.0
#: Seconds between two looks for somebody who wants a poll; below the time limit of a Redis command.
WISH_WAIT = 1.0
#: The first round is spread over so many seconds a node, so that 500 nodes do not answer in one moment.
SPREAD = 0.01


class Poller:
    """One process that polls while it holds the lease. Made by ``opened``."""

    def __init__(
        self,
        settings: Settings,
        lease: Lease,
        requests: PollRequests,
        watch: Watch,
        copies: WhereaboutsRenewal,
        chance: Callable[[], float],
    ) -> None:
        self._interval = settings.poll_interval
        self._lease = lease
        self._requests = requests
        self._watch = watch
        self._copies = copies
        self._chance = chance
        # A thread each, so that a full pool of store threads never costs the lease.
        self._lease_thread = ThreadPoolExecutor(1, "lease")
        self._wish_thread = ThreadPoolExecutor(1, "wishes")
        self._nodes: dict[int, Node] = {}
        self._wanted: dict[int, asyncio.Event] = {}
        self._reread = asyncio.Event()
        self._began_under: int | None = None
        self._told: int | None = None  #: the lease's number as last logged; it may have run out since

    async def run_once(self) -> bool:
        """Poll every node once, all at the same time; False where another process holds the lease.

        Raises StorageUnavailableError.
        """
        fencing = await self._in(self._lease_thread, self._lease.hold)
        if fencing is None:
            return False
        if fencing != self._began_under:
            await self._watch.remember()
            self._began_under = fencing
        polls = [self._watch.poll(node, fencing) for node in await self._watch.nodes()]
        await asyncio.gather(self._copies.keep(fencing), *polls)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Poll whenever this process holds the lease, until ``stop``."""
        polling: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                held = await self._hold()
                if held and polling is None:
                    polling = asyncio.create_task(self._poll_all())
                elif polling is not None and (not held or polling.done()):
                    await _ended(polling)
                    polling = None
                    continue
                await _event_within(stop, self._interval / 2)
        finally:
            if polling is not None:
                await _ended(polling)

    async def close(self) -> None:
        """Hand the lease on."""
        try:
            await self._in(self._lease_thread, self._lease.release)
        except StorageUnavailableError as error:
            logger.warning("lease not released: it runs out by itself", reason=str(error))
        self._lease_thread.shutdown()
        self._wish_thread.shutdown()

    async def _hold(self) -> bool:
        try:
            fencing = await self._in(self._lease_thread, self._lease.hold)
        except StorageUnavailableError as error:
            logger.warning("lease not renewed", reason=str(error))
            fencing = self._lease.fencing
        if fencing != self._told:
            logger.info("lease", held=fencing is not None, fencing=fencing, before=self._told)
            self._told = fencing
        return fencing is not None

    async def _poll_all(self) -> None:
        """Keep one task a node, for the nodes that are registered."""
        tasks: dict[int, asyncio.Task[None]] = {}
        beside = [asyncio.create_task(self._take_wishes()), asyncio.create_task(self._keep_copies())]
        try:
            await self._begin()
            while True:
                self._reread.clear()
                await self._read_nodes()
                for node_id in self._nodes.keys() - tasks.keys():
                    self._wanted[node_id] = asyncio.Event()
                    tasks[node_id] = asyncio.create_task(self._follow(node_id))
                for node_id in tasks.keys() - self._nodes.keys():
                    del self._wanted[node_id]
                    await _ended(tasks.pop(node_id))
                await _event_within(self._reread, self._interval)
        finally:
            for task in (*beside, *tasks.values()):
                task.cancel()
            await asyncio.gather(*beside, *tasks.values(), return_exceptions=True)

    async def _begin(self) -> None:
        while True:
            try:
                await self._watch.remember()
                await self._in(self._wish_thread, self._requests.clear)
                return
            except StorageUnavailableError as error:
                logger.warning("polling not begun", reason=str(error))
                await asyncio.sleep(self._interval / 2)

    async def _read_nodes(self) -> None:
        try:
            found = {node.id: node for node in await self._watch.nodes()}
        except StorageUnavailableError as error:
            logger.warning("nodes not reread", reason=str(error))
            return
        for node_id, wanted in self._wanted.items():
            if node_id in found and found[node_id] != self._nodes.get(node_id):
                wanted.set()
        self._nodes = found

    async def _follow(self, node_id: int) -> None:
        """Poll one node again and again; what is wrong with it delays no other."""
        await asyncio.sleep(self._chance() * min(self._interval / 2, SPREAD * len(self._nodes)))
        while True:
            due = time.monotonic() + self._interval * (0.95 + 0.1 * self._chance())
            self._wanted[node_id].clear()
            fencing = self._lease.fencing
            if fencing is not None and node_id in self._nodes:
                await self._poll(self._nodes[node_id], fencing)
            await _event_within(self._wanted[node_id], due - time.monotonic())

    async def _poll(self, node: Node, fencing: int) -> None:
        try:
            await self._watch.poll(node, fencing)
        except StorageUnavailableError as error:
            logger.warning("node not polled", node=node.name, reason=str(error))
        except Exception:
            # A mistake of ours that one node brings to light must not end the watch over the others.
            logger.exception("poll broke off", node=node.name)

    async def _take_wishes(self) -> None:
        while True:
            try:
                wish = await self._in(self._wish_thread, self._requests.take, WISH_WAIT)
            except StorageUnavailableError:
                # The polls themselves say so in the log.
                await asyncio.sleep(WISH_WAIT)
                continue
            if wish in self._wanted:
                self._wanted[wish].set()
            elif wish is not None:
                self._reread.set()

    async def _keep_copies(self) -> None:
        """Look whether it is time to as often as the lease is renewed: a wiped Redis shows there."""
        while True:
            fencing = self._lease.fencing
            if fencing is not None:
                try:
                    await self._copies.keep(fencing)
                except Exception:
                    # As with polls: a mistake of ours must not end this for good, nor unnoticed.
                    logger.exception("placements not copied")
            await asyncio.sleep(self._interval / 2)

    async def _in(self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


async def _event_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(seconds, 0))


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for it; an error that ended it by itself is raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def opened(settings: Settings, *, chance: Callable[[], float] = random.random) -> AsyncIterator[Poller]:
    """A poller with its connections; chance: numbers from 0 to 1 for the jitter."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVER_THREADS, "resolver"))
    with ExitStack() as stack:
        database = Database(
            settings.database_url, application_name="balancer-poller", size=STORE_THREADS + 1, time_limit=STORE_PATIENCE
        )
        database.open()
        stack.callback(database.close)
        client = stack.enter_context(redis_client.connect(settings.redis_url))
        threads = stack.enter_context(ThreadPoolExecutor(STORE_THREADS, "stores"))
        lease = Lease(POLLER, client, database, ttl=LEASE_INTERVALS * settings.poll_interval)
        async with AsyncNodeClient(settings) as http:
            stores = PollStores(database, client)
            watch, copies = Watch(settings, stores, http, threads), WhereaboutsRenewal(stores, threads)
            poller = Poller(settings, lease, PollRequests(client), watch, copies, chance)
            try:
                yield poller
            finally:
                await poller.close()


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened(settings) as poller:
        await poller.run(stop)


def main(settings: Settings) -> None:
    """Poll until SIGTERM or SIGINT."""
    log.configure(settings.log_level, settings.log_format)
    asyncio.run(_serve(settings))
