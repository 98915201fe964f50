"""The poller's process: polls every node on a schedule of its own, while it holds the lease.

A poll never changes a node's admin state, and ends no meeting except what a create that timed out has left over. The
process that polls also renews the copies of running meetings in Redis that joins are answered from.
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
from balancer.polling.client import RENEW_AFTER, AsyncNodeClient
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

#: The lease's lifetime in poll intervals. If its holder dies, another process takes over after that, and half an
#: interval more until its next attempt.
LEASE_INTERVALS = 2.0
#: Each name that is being resolved occupies a thread, and name servers may hang.
RESOLVER_THREADS = 64
STORE_THREADS = 4
#: Seconds that a transaction may take: three of its statements at their limit.
STORE_TIMEOUT = 30.0
#: Seconds for which one Redis command waits for a poll request; below the timeout of a command.
REQUEST_WAIT = 1.0
#: Seconds a node over which the first round is spread, so that 500 nodes do not answer at the same moment.
SPREAD = 0.01


class Poller:
    """One process that polls while it holds the lease. Created by ``opened``."""

    def __init__(
        self,
        settings: Settings,
        lease: Lease,
        requests: PollRequests,
        watch: Watch,
        renewal: WhereaboutsRenewal,
        random: Callable[[], float],
    ) -> None:
        """random: numbers from 0 to 1."""
        self.lease = lease
        self.watch = watch
        self.renewal = renewal
        self._interval = settings.poll_interval
        self._requests = requests
        self._random = random
        # One thread each, so that busy store threads never cost the lease.
        self._lease_thread = ThreadPoolExecutor(1, "lease")
        self._request_thread = ThreadPoolExecutor(1, "requests")
        self._nodes: dict[int, Node] = {}
        self._requested: dict[int, asyncio.Event] = {}  #: polls, by node id
        self._nodes_requested = asyncio.Event()
        self._logged_fencing: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Poll while this process holds the lease, until ``stop``."""
        polling: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                held = await self._hold()
                if held and polling is None:
                    polling = asyncio.create_task(self._poll_all())
                elif polling is not None and (not held or polling.done()):
                    await _end(polling)
                    polling = None
                    continue
                await _wait_for_event(stop, self._interval / 2)
        finally:
            if polling is not None:
                await _end(polling)

    async def close(self) -> None:
        """Release the lease."""
        try:
            await self._in(self._lease_thread, self.lease.release)
        except StorageUnavailableError as error:
            logger.warning("lease not released: it expires by itself", reason=str(error))
        self._lease_thread.shutdown()
        self._request_thread.shutdown()

    async def _hold(self) -> bool:
        try:
            fencing = await self._in(self._lease_thread, self.lease.hold)
        except StorageUnavailableError as error:
            logger.warning("lease not renewed", reason=str(error))
            fencing = self.lease.fencing
        if fencing != self._logged_fencing:
            logger.info("lease", held=fencing is not None, fencing=fencing, before=self._logged_fencing)
            self._logged_fencing = fencing
        return fencing is not None

    async def _poll_all(self) -> None:
        """Keep one task for each registered node."""
        tasks: dict[int, asyncio.Task[None]] = {}
        services = [asyncio.create_task(self._take_requests()), asyncio.create_task(self._renew_copies())]
        try:
            await self._begin()
            while True:
                self._nodes_requested.clear()
                await self._read_nodes()
                for node_id in self._nodes.keys() - tasks.keys():
                    self._requested[node_id] = asyncio.Event()
                    tasks[node_id] = asyncio.create_task(self._poll_repeatedly(node_id))
                for node_id in tasks.keys() - self._nodes.keys():
                    del self._requested[node_id]
                    await _end(tasks.pop(node_id))
                await _wait_for_event(self._nodes_requested, self._interval)
        finally:
            for task in (*services, *tasks.values()):
                task.cancel()
            await asyncio.gather(*services, *tasks.values(), return_exceptions=True)

    async def _begin(self) -> None:
        while True:
            try:
                await self.watch.remember()
                await self._in(self._request_thread, self._requests.clear)
                return
            except StorageUnavailableError as error:
                logger.warning("polling not started", reason=str(error))
                await asyncio.sleep(self._interval / 2)

    async def _read_nodes(self) -> None:
        try:
            registered = {node.id: node for node in await self.watch.read_nodes()}
        except StorageUnavailableError as error:
            logger.warning("nodes not read", reason=str(error))
            return
        for node_id, requested in self._requested.items():
            if node_id in registered and registered[node_id] != self._nodes.get(node_id):
                requested.set()
        self._nodes = registered

    async def _poll_repeatedly(self, node_id: int) -> None:
        """Poll one node again and again; a slow node delays no other."""
        await asyncio.sleep(self._random() * min(self._interval / 2, SPREAD * len(self._nodes)))
        while True:
            due = time.monotonic() + self._interval * (0.95 + 0.1 * self._random())
            self._requested[node_id].clear()
            fencing = self.lease.fencing
            if fencing is not None and node_id in self._nodes:
                await self._poll(self._nodes[node_id], fencing)
            await _wait_for_event(self._requested[node_id], due - time.monotonic())

    async def _poll(self, node: Node, fencing: int) -> None:
        try:
            await self.watch.poll(node, fencing)
        except StorageUnavailableError as error:
            logger.warning("node not polled", node=node.name, reason=str(error))
        except Exception:
            # A bug of ours that one node reveals must not end the polls of the others.
            logger.exception("poll failed", node=node.name)

    async def _take_requests(self) -> None:
        """Poll a node at once if a request asks for it; read the nodes again if it asks for one that is not known."""
        while True:
            try:
                request = await self._in(self._request_thread, self._requests.take, REQUEST_WAIT)
            except StorageUnavailableError:
                # The polls log it.
                await asyncio.sleep(REQUEST_WAIT)
                continue
            if request in self._requested:
                self._requested[request].set()
            elif request is not None:
                self._nodes_requested.set()

    async def _renew_copies(self) -> None:
        """Check as often as the lease is renewed whether copies are due: its new number reveals a wiped Redis."""
        while True:
            fencing = self.lease.fencing
            if fencing is not None:
                try:
                    await self.renewal.keep(fencing)
                except Exception:
                    # As with polls, a bug of ours must not end this for good or unnoticed.
                    logger.exception("placements not copied")
            await asyncio.sleep(self._interval / 2)

    async def _in(self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


async def _wait_for_event(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(seconds, 0))


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for it. Raises the error of a task that has failed before."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def opened(settings: Settings, *, renew_after: float = RENEW_AFTER) -> AsyncIterator[Poller]:
    """A poller with its connections; renew_after: as AsyncNodeClient's."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVER_THREADS, "resolver"))
    with ExitStack() as stack:
        database = Database(
            settings.database_url, application_name="balancer-poller", size=STORE_THREADS + 1, time_limit=STORE_TIMEOUT
        )
        database.open()
        stack.callback(database.close)
        client = stack.enter_context(redis_client.connect(settings.redis_url))
        threads = stack.enter_context(ThreadPoolExecutor(STORE_THREADS, "stores"))
        lease = Lease(POLLER, client, database, ttl=LEASE_INTERVALS * settings.poll_interval)
        async with AsyncNodeClient(settings, renew_after=renew_after) as http:
            stores = PollStores(database, client)
            watch, renewal = Watch(settings, stores, http, threads), WhereaboutsRenewal(stores, threads)
            poller = Poller(settings, lease, PollRequests(client), watch, renewal, random.random)
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
