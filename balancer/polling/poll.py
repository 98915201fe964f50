"""One poll of one node, and what this process knows of all nodes from its own polls."""

import asyncio
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from balancer import log
from balancer.core.exact_end import NotEndedError
from balancer.core.health import Health, Thresholds, after_failure, after_pass, held_back, reconsidered
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot
from balancer.core.reconciliation import MeetingRow, NodeListing
from balancer.errors import NodeError, StorageUnavailableError
from balancer.polling.client import AsyncNodeClient, PollAnswer
from balancer.polling.clock import ClusterClock, Moment
from balancer.polling.version_and_digests import Probes
from balancer.settings import Settings
from balancer.storage.poll_stores import PollStores
from balancer.storage.postgresql import clock, nodes, reconciliation
from balancer.storage.postgresql.transitions import Change

T = TypeVar("T")
logger = log.get(__name__)

#: Seconds after a create's own timeouts in which its web worker may still be writing the row.
CREATE_SLACK = 5.0
#: Meetings that one poll asks a node for by name at most; the others wait for the next poll.
QUESTIONS_PER_POLL = 20


@dataclass
class _WatchedNode:
    """What this process knows of a node."""

    node: Node
    health: Health | None = None  #: None before the first poll
    written: Observation | None = None  #: as PostgreSQL has it
    probes: Probes = field(default_factory=Probes)
    listed: frozenset[str] = frozenset()  #: internalMeetingIDs of the last successful poll

    @classmethod
    def stored(cls, node: Node, observation: Observation | None) -> "_WatchedNode":
        """As the previous poller left it."""
        if observation is None:
            return cls(node)
        written = replace(observation, fencing=0)
        return cls(node, Health.remembered(observation), written, Probes.stored(node.id, observation))


@dataclass(frozen=True)
class _Poll:
    """One poll that is under way."""

    watched: _WatchedNode
    node: Node  #: as it was when the poll began
    fencing: int
    started: Moment
    began: float  #: time.monotonic()

    def at(self, moment: float) -> datetime:
        """PostgreSQL's time at a moment of time.monotonic(), calculated from the start."""
        return self.started.at + timedelta(seconds=moment - self.began)

    def ended(self) -> datetime:
        return self.at(time.monotonic())

    def keep(self, probes: Probes) -> None:
        """Keep new answers, unless an operator has changed the node since: then everything is asked again."""
        if self.watched.node == self.node:
            self.watched.probes = probes


class Watch:
    """Polls nodes. It holds the health of all nodes in memory, because one node's failure is judged by the others."""

    def __init__(self, settings: Settings, stores: PollStores, http: AsyncNodeClient, threads: Executor) -> None:
        """threads: where calls to the stores run."""
        self._settings = settings
        self._stores = stores
        self._http = http
        self._threads = threads
        self._thresholds = Thresholds(fail=settings.poll_fail_threshold, passes=settings.poll_pass_threshold)
        self._create_grace = timedelta(seconds=settings.create_timeout + settings.node_connect_timeout + CREATE_SLACK)
        self._clock = ClusterClock(lambda: self._stored(stores.transact, clock.now))
        self._watched: dict[int, _WatchedNode] = {}
        self._away: set[str] = set()  #: stores
        self._common_failure = False  #: whether no node is declared unreachable because most nodes fail together

    async def remember(self) -> None:
        """Start from what is stored, as a process that begins to poll. Raises StorageUnavailableError."""
        observations = await self._stored(self._stores.transact, nodes.observations)
        registered = await self._stored(self._stores.transact, nodes.all_nodes)
        self._watched = {node.id: _WatchedNode.stored(node, observations.get(node.id)) for node in registered}

    async def read_nodes(self) -> list[Node]:
        """All registered nodes, with an operator's changes since the last call. Raises StorageUnavailableError."""
        registered = {node.id: node for node in await self._stored(self._stores.transact, nodes.all_nodes)}
        for node in registered.values():
            watched = self._watched.setdefault(node.id, _WatchedNode(node))
            if watched.node != node:
                logger.info("node changed by an operator", node=node.name, changes=_changes(watched.node, node))
                watched.node, watched.probes = node, watched.probes.all_due()
        for node_id in self._watched.keys() - registered.keys():
            logger.info("node removed by an operator", node=self._watched.pop(node_id).node.name)
        try:
            await self._stored(self._stores.snapshots.keep_only, registered.keys())
        except StorageUnavailableError as error:
            self._note_away("redis", error)
        return list(registered.values())

    async def poll(self, node: Node, fencing: int) -> None:
        """Poll a node once, under the lease with this fencing number.

        1. Get PostgreSQL's time, to distinguish rows that are written during the poll.
        2. Ask the node for its meetings, and once an hour for its version.
        3. If it fails, record that in its health, and stop.
        4. Write its snapshot to Redis. If a newer lease holder has written one, stop.
        5. Record its health: in PostgreSQL if it has changed.
        6. Judge failing nodes again, because this answer shows that our own network works.
        7. Reconcile the rows of its meetings. Ask the node about meetings that no list has shown; end what a create
           that timed out has left over.
        8. Once in a while, try which digests the node accepts. The next poll stores the result.

        A node that fails is not an error. Raises StorageUnavailableError if PostgreSQL has never been reached.
        """
        watched = self._watched.get(node.id)
        if watched is None:  # removed by an operator
            return
        poll = _Poll(watched, node, fencing, await self._clock.now(), time.monotonic())
        try:
            answer = await self._http.get_meetings(node, timeout=self._settings.poll_timeout)
            asked = await self._ask_version(poll)
        except NodeError as error:
            if error.reason == "checksum":
                await self._try_digest(poll, refused=True)
            await self._record_failure(poll, error)
        else:
            await self._record_pass(poll, answer)
            if not asked:
                await self._try_digest(poll)

    async def _ask_version(self, poll: _Poll) -> bool:
        """Ask for the version if it is due or the node was away; whether it was asked. Raises NodeError."""
        health, probes = poll.watched.health, poll.watched.probes
        was_away = health is None or health.state is not ObservedState.ONLINE
        if not was_away and time.monotonic() < probes.version_due:
            return False
        poll.keep(await probes.ask_version(self._http, poll.node, self._left(poll)))
        return True

    async def _try_digest(self, poll: _Poll, *, refused: bool = False) -> None:
        probes = poll.watched.probes
        poll.keep(await probes.try_digest(self._http, poll.node, self._left(poll), refused=refused))

    def _left(self, poll: _Poll) -> float:
        """Seconds until the poll's timeout."""
        return max(poll.began + self._settings.poll_timeout - time.monotonic(), 0.1)

    async def _record_failure(self, poll: _Poll, error: NodeError) -> None:
        health = after_failure(
            poll.watched.health,
            error.reason,
            started=poll.started.at,
            ended=poll.ended(),
            thresholds=self._thresholds,
            others=self._others(poll.watched),
        )
        await self._record_health(poll.watched, poll.fencing, health, str(error))

    async def _record_pass(self, poll: _Poll, answer: PollAnswer) -> None:
        ended = poll.ended()
        health = after_pass(poll.watched.health, started=poll.started.at, ended=ended, thresholds=self._thresholds)
        # The snapshot comes first, so that a node that becomes online has fresh figures.
        snapshot = _snapshot(poll, answer, ended)
        xml = {meeting.internal_meeting_id: meeting.xml for meeting in answer.meetings}
        try:
            current = await self._stored(self._stores.snapshots.write, snapshot, xml)
        except StorageUnavailableError as error:
            self._note_away("redis", error)
        else:
            self._note_back("redis")
            if not current:
                logger.info("poll discarded: another process polls by now", node=poll.node.name)
                return
        await self._record_health(poll.watched, poll.fencing, health, "")
        await self._reconsider(poll)
        await self._reconcile(poll, answer)
        poll.watched.listed = frozenset(xml)

    async def _reconsider(self, poll: _Poll) -> None:
        """Judge again the nodes whose failures were held back as a fault of our own network."""
        for watched in list(self._watched.values()):
            if watched.health is None or not held_back(watched.health, self._thresholds):
                continue
            others = self._others(watched)
            after = reconsidered(watched.health, now=poll.ended(), thresholds=self._thresholds, others=others)
            if after is not watched.health:
                await self._record_health(watched, poll.fencing, after, "other nodes have answered since")

    def _others(self, watched: _WatchedNode) -> list[Health]:
        return [other.health for other in self._watched.values() if other is not watched and other.health]

    async def _record_health(self, watched: _WatchedNode, fencing: int, health: Health, detail: str) -> None:
        """Keep it; log and store it if it has changed."""
        before, watched.health = watched.health, health
        self._log_common_failure()
        if health.differs(before):
            logger.info(
                "node state",
                node=watched.node.name,
                state=health.state.value,
                reason=health.reason,
                before=before.state.value if before else ObservedState.UNKNOWN.value,
                detail=detail,
            )
        observation = Observation(
            state=health.state,
            reason=health.reason,
            since=health.since,
            bbb_version=watched.probes.bbb_version,
            digests=watched.probes.digests,
        )
        if watched.written == observation:
            return
        observe = partial(
            nodes.observe,
            node_id=watched.node.id,
            state=observation.state,
            reason=observation.reason,
            bbb_version=observation.bbb_version,
            digests=observation.digests,
            fencing=fencing,
        )
        try:
            await self._stored(self._stores.transact, observe)
        except StorageUnavailableError as error:
            self._note_away("postgresql", error)
        else:
            self._note_back("postgresql")
            watched.written = observation

    def _log_common_failure(self) -> None:
        """Log when most nodes begin to fail together, and when that is over."""
        known = [watched.health for watched in self._watched.values() if watched.health]
        counting = [health for health in known if health.state is not ObservedState.UNREACHABLE]
        failing = sum(health.failures > 0 for health in counting)
        held = any(held_back(health, self._thresholds) for health in counting)
        if self._common_failure and not held:
            self._common_failure = False
            logger.warning("nodes no longer fail together", failing=failing, of=len(counting))
        # A single node is held back too, until the others have been polled since it began to fail.
        elif not self._common_failure and held and failing * 2 > len(counting):
            self._common_failure = True
            logger.warning("most nodes fail together: none is declared unreachable", failing=failing, of=len(counting))

    async def _reconcile(self, poll: _Poll, answer: PollAnswer) -> None:
        """Change the rows of meetings as the node's list requires."""
        if not poll.started.exact:
            return
        listing = NodeListing(
            node_id=poll.node.id,
            poll_started=poll.started.at,
            meetings=answer.meetings,
            listed_before=poll.watched.listed,
            clock_ahead=answer.node_time - poll.at(answer.arrived) if answer.node_time else timedelta(0),
        )
        database = self._stores.database
        try:
            reconcile = partial(reconciliation.reconcile, database, listing, create_grace=self._create_grace)
            outcome = await self._stored(reconcile)
            await self._announce(outcome.changes)
            gone = await self._missing(poll.node, outcome.doubtful[:QUESTIONS_PER_POLL])
            if gone:
                ended = await self._stored(reconciliation.confirm_ended, database, gone, poll.started.at)
                await self._announce(ended)
        except StorageUnavailableError as error:
            self._note_away("postgresql", error)
            return
        for meeting in outcome.left_over:
            try:
                await self._http.end_unused(poll.node, meeting, timeout=self._settings.poll_timeout)
            except (NodeError, NotEndedError) as error:
                # If it is still there, the next poll lists it and tries again.
                logger.warning("left-over meeting not ended", node=poll.node.name, reason=str(error))

    async def _missing(self, node: Node, rows: Collection[MeetingRow]) -> list[MeetingRow]:
        """Those of the rows whose meeting the node does not have, as it says itself."""
        missing = []
        for row in rows:
            try:
                internal_meeting_id = await self._http.find(node, row.meeting_id, timeout=self._settings.poll_timeout)
            except NodeError as error:
                logger.warning("unlisted meeting not confirmed", node=node.name, row=row.id, reason=str(error))
                break
            if internal_meeting_id != row.internal_meeting_id:
                missing.append(row)
        return missing

    async def _announce(self, changes: Collection[Change]) -> None:
        try:
            await self._stored(self._stores.announcer.announce, changes)
        except StorageUnavailableError as error:
            self._note_away("redis", error)

    def _note_away(self, store: str, error: StorageUnavailableError) -> None:
        if store not in self._away:
            logger.warning("store away", store=store, reason=str(error))
        self._away.add(store)

    def _note_back(self, store: str) -> None:
        if store in self._away:
            logger.info("store back", store=store)
        self._away.discard(store)

    async def _stored(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function that uses a store in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _snapshot(poll: _Poll, answer: PollAnswer, ended: datetime) -> Snapshot:
    participants = {meeting.internal_meeting_id: meeting.participants for meeting in answer.meetings}
    return Snapshot(
        node_id=poll.node.id,
        fencing=poll.fencing,
        poll_started=poll.started.at,
        polled=ended,
        users=sum(participants.values()),
        video=sum(meeting.video for meeting in answer.meetings),
        participants=participants,
        bbb_version=poll.watched.probes.bbb_version,
    )


def _changes(before: Node, after: Node) -> dict[str, object]:
    """The changed fields with their old and new values; a secret's values are left out."""
    old, new = asdict(before), asdict(after)
    return {name: "…" if name == "secret" else [old[name], new[name]] for name in old if old[name] != new[name]}
