"""One poll of one node, and what this process knows of all nodes from its own polls."""

import asyncio
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from balancer import log
from balancer.core.health import Health, Thresholds, after_failure, after_pass, held_back, reconsidered
from balancer.core.nodes import Node, ObservedState, Snapshot
from balancer.core.reconciliation import MeetingRow, NodeListing
from balancer.errors import NodeError, StorageUnavailableError
from balancer.polling.client import AsyncNodeClient, Listed
from balancer.polling.clock import ClusterClock, Moment
from balancer.settings import ALGORITHMS, Settings
from balancer.storage.poll_stores import PollStores
from balancer.storage.postgresql.transitions import Change

T = TypeVar("T")
logger = log.get(__name__)

#: Seconds after a create's own timeouts in which its web worker may still be writing the row.
CREATE_SLACK = 5.0
#: Seconds between two questions for a node's BBB version; a node that was away is asked at once.
VERSION_EVERY = 3600.0
#: Seconds between two rounds of trials of its digests, one digest after each poll; longer by up to as much again,
#: by node, so that hundreds of nodes are not tried in one moment.
DIGESTS_EVERY = 3600.0
#: Seconds until a round goes on where a node did not answer a trial, longer by node likewise.
DIGESTS_RETRY = 60.0
#: Meetings asked for by name after one poll; the others wait for the next.
DOUBTS_AT_ONCE = 20


@dataclass(frozen=True)
class _Poll:
    """One poll that is under way."""

    node: Node
    fencing: int
    started: Moment
    began: float  #: time.monotonic()

    def at(self, moment: float) -> datetime:
        """PostgreSQL's time at a moment of time.monotonic(), reckoned from the start."""
        return self.started.at + timedelta(seconds=moment - self.began)

    def ended(self) -> datetime:
        return self.at(time.monotonic())


@dataclass(frozen=True)
class _Probed:
    """What is asked of a node once in a while."""

    bbb_version: str = ""
    digests: tuple[str, ...] = ()
    ask_version: float = 0.0  #: when, by time.monotonic()
    try_digests: float = 0.0
    untried: tuple[str, ...] = ()  #: digests that the round under way has still to try
    taken: tuple[str, ...] = ()  #: those that it found to be taken
    refused: bool = False  #: whether it had just refused our signature when the round began


class Watch:
    """Polls nodes; the health of all of them is in memory, so that one node's failure is judged beside the others'."""

    def __init__(self, settings: Settings, stores: PollStores, http: AsyncNodeClient, threads: Executor) -> None:
        """threads: where calls to the stores run."""
        self._settings = settings
        self._stores = stores
        self._http = http
        self._threads = threads
        self._thresholds = Thresholds(fail=settings.poll_fail_threshold, passes=settings.poll_pass_threshold)
        self._create_grace = timedelta(seconds=settings.create_timeout + settings.node_connect_timeout + CREATE_SLACK)
        self._clock = ClusterClock(lambda: self._stored(self._stores.now))
        self._nodes: dict[int, Node] = {}
        self._health: dict[int, Health] = {}
        self._written: dict[int, tuple[ObservedState, str, str, tuple[str, ...]]] = {}
        self._probed: dict[int, _Probed] = {}
        self._listed: dict[int, frozenset[str]] = {}
        self._away: set[str] = set()
        self._together = False  #: whether nodes are not declared unreachable since most fail together

    async def remember(self) -> None:
        """Begin from what is stored, as a process that polls from now on. Raises StorageUnavailableError."""
        known = await self._stored(self._stores.observations)
        # What changed while another process polled is that one's to tell.
        self._nodes = {}
        self._health = {node_id: Health.remembered(observation) for node_id, observation in known.items()}
        self._written = {
            node_id: (one.state, one.reason, one.bbb_version, one.digests) for node_id, one in known.items()
        }
        later = time.monotonic()
        self._probed = {
            node_id: _Probed(
                one.bbb_version,
                one.digests,
                # Where none is known, a first round was broken off.
                try_digests=later + DIGESTS_EVERY * (node_id % 60 / 60) if one.digests else 0.0,
            )
            for node_id, one in known.items()
        }
        self._listed = {}

    async def nodes(self) -> list[Node]:
        """Every registered node; what is known of others is dropped. Raises StorageUnavailableError."""
        found = await self._stored(self._stores.nodes)
        for node in found:
            before = self._nodes.get(node.id, node)
            if before != node:
                logger.info("node changed by an operator", node=node.name, changes=_changes(before, node))
                if node.id in self._probed:
                    self._probed[node.id] = replace(self._probed[node.id], ask_version=0.0, try_digests=0.0, untried=())
        ids = {node.id for node in found}
        for node_id in self._nodes.keys() - ids:
            logger.info("node removed by an operator", node=self._nodes[node_id].name)
        self._nodes = {node.id: node for node in found}
        for known in (self._health, self._written, self._probed, self._listed):
            for node_id in known.keys() - ids:
                del known[node_id]
        try:
            await self._stored(self._stores.snapshots.keep_only, ids)
        except StorageUnavailableError as error:
            self._note_away("redis", error)
        return found

    async def poll(self, node: Node, fencing: int) -> None:
        """Ask a node and record what it says, under the lease of that number.

        Raises nothing for a node that fails: that is recorded too. Raises StorageUnavailableError where PostgreSQL was
        never reached.
        """
        poll = _Poll(node, fencing, await self._clock.now(), time.monotonic())
        try:
            listed = await self._http.get_meetings(node, timeout=self._settings.poll_timeout)
            asked = await self._ask_version(poll)
        except NodeError as error:
            if error.reason == "checksum":
                await self._try_digest(poll, refused=True)
            await self._record_failure(poll, error)
        else:
            await self._record_pass(poll, listed)
            # Stored with the next poll's news: nothing hangs on it, and the snapshot should not wait for it.
            if not asked:
                await self._try_digest(poll)

    async def _ask_version(self, poll: _Poll) -> bool:
        """Ask a node that answers for its version, where it is time to; whether it was.

        Raises NodeError where that is none of ours.
        """
        known = self._probed.get(poll.node.id)
        health = self._health.get(poll.node.id)
        was_away = health is None or health.state is not ObservedState.ONLINE
        if known and not was_away and time.monotonic() < known.ask_version:
            return False
        try:
            version = await self._http.version(poll.node, timeout=self._left(poll))
        except NodeError as error:
            if error.reason == "version":
                raise
            # The node answers what counts; its index is asked again in an hour.
            logger.warning("node does not tell its version", node=poll.node.name, reason=str(error))
            version = known.bbb_version if known else ""
        asked = time.monotonic() + VERSION_EVERY
        self._keep(poll.node, replace(known or _Probed(), bbb_version=version, ask_version=asked))
        return True

    def _keep(self, node: Node, probed: _Probed) -> None:
        """What a poll found out, unless the node was changed meanwhile: then it is asked everything anew."""
        if self._nodes.get(node.id) == node:
            self._probed[node.id] = probed

    async def _try_digest(self, poll: _Poll, *, refused: bool = False) -> None:
        """Try whether a node takes our signature in one more digest, so that a poll costs one request more at most.

        A round through all of them begins once in a while, and when the node begins or ends to refuse ours.
        """
        known = self._probed.get(poll.node.id, _Probed())
        if refused == known.refused and time.monotonic() < known.try_digests:
            return
        if refused != known.refused or not known.untried:
            known = replace(known, untried=ALGORITHMS, taken=(), refused=refused)
        self._keep(poll.node, await self._tried(poll, known))

    async def _tried(self, poll: _Poll, known: _Probed) -> _Probed:
        """What is known after the next digest was tried."""
        longer = 1 + poll.node.id % 60 / 60
        algorithm, *untried = known.untried
        try:
            takes = await self._http.takes(poll.node, algorithm, timeout=self._left(poll))
        except NodeError as error:
            logger.warning("node does not tell its digests", node=poll.node.name, reason=str(error))
            return replace(known, try_digests=time.monotonic() + DIGESTS_RETRY * longer)
        taken = (*known.taken, algorithm) if takes else known.taken
        if untried:
            return replace(known, untried=tuple(untried), taken=taken, try_digests=0.0)
        after = time.monotonic() + DIGESTS_EVERY * longer
        return replace(known, digests=taken, untried=(), taken=(), try_digests=after)

    def _left(self, poll: _Poll) -> float:
        """Seconds that are left of a poll."""
        return max(poll.began + self._settings.poll_timeout - time.monotonic(), 0.1)

    async def _record_failure(self, poll: _Poll, error: NodeError) -> None:
        health = after_failure(
            self._health.get(poll.node.id),
            error.reason,
            started=poll.started.at,
            ended=poll.ended(),
            thresholds=self._thresholds,
            sisters=self._sisters(poll.node),
        )
        await self._record_health(poll.node, poll.fencing, health, str(error))

    async def _record_pass(self, poll: _Poll, listed: Listed) -> None:
        ended = poll.ended()
        health = after_pass(
            self._health.get(poll.node.id), started=poll.started.at, ended=ended, thresholds=self._thresholds
        )
        # The snapshot first: a node that is told to be online has fresh figures.
        snapshot = _snapshot(poll, listed, ended, self._probed.get(poll.node.id, _Probed()).bbb_version)
        xml = {meeting.internal_meeting_id: meeting.xml for meeting in listed.meetings}
        try:
            current = await self._stored(self._stores.snapshots.write, snapshot, xml)
        except StorageUnavailableError as error:
            self._note_away("redis", error)
        else:
            self._note_back("redis")
            if not current:
                logger.info("poll discarded: another process polls by now", node=poll.node.name)
                return
        await self._record_health(poll.node, poll.fencing, health, "")
        await self._reconsider(poll)
        await self._settle_meetings(poll, listed)
        self._listed[poll.node.id] = frozenset(xml)

    async def _reconsider(self, poll: _Poll) -> None:
        """This answer shows that our own network works: what other nodes' failures were held back for."""
        for node_id in list(self._health):
            # Looked up anew each time: another poll may end while this one's news are stored.
            health, node = self._health.get(node_id), self._nodes.get(node_id)
            if health is None or node is None or health.failures < self._thresholds.fail:
                continue
            after = reconsidered(health, now=poll.ended(), thresholds=self._thresholds, sisters=self._sisters(node))
            if after is not health:
                await self._record_health(node, poll.fencing, after, "others answered meanwhile")

    def _sisters(self, node: Node) -> list[Health]:
        return [health for node_id, health in self._health.items() if node_id != node.id]

    async def _record_health(self, node: Node, fencing: int, health: Health, detail: str) -> None:
        """Keep it, and store and log it where it is news."""
        node_id = node.id
        before = self._health.get(node_id)
        self._health[node_id] = health
        self._note_held_back()
        if health.differs(before):
            logger.info(
                "node state",
                node=node.name,
                state=health.state.value,
                reason=health.reason,
                before=before.state.value if before else ObservedState.UNKNOWN.value,
                detail=detail,
            )
        known = self._probed.get(node_id, _Probed())
        news = (health.state, health.reason, known.bbb_version, known.digests)
        if self._written.get(node_id) == news:
            return
        try:
            await self._stored(self._stores.observe, node.id, fencing, health, known.bbb_version, known.digests)
        except StorageUnavailableError as error:
            self._note_away("postgresql", error)
        else:
            self._note_back("postgresql")
            self._written[node_id] = news

    def _note_held_back(self) -> None:
        """Log when most nodes begin to fail together, and when that is over."""
        counting = [health for health in self._health.values() if health.state is not ObservedState.UNREACHABLE]
        failing = sum(health.failures > 0 for health in counting)
        held = any(held_back(health, self._thresholds) for health in counting)
        # One alone is held back too, until the others were polled since it began to fail.
        together = held and failing * 2 > len(counting)
        if together is self._together or (held and self._together):
            return
        self._together = together
        told = "most nodes fail together: none is declared unreachable" if together else "nodes fail together no more"
        logger.warning(told, failing=failing, of=len(counting))

    async def _settle_meetings(self, poll: _Poll, listed: Listed) -> None:
        if not poll.started.exact:
            return
        listing = NodeListing(
            node_id=poll.node.id,
            poll_started=poll.started.at,
            meetings=listed.meetings,
            listed_before=self._listed.get(poll.node.id, frozenset()),
            clock_ahead=listed.node_time - poll.at(listed.answered) if listed.node_time else timedelta(0),
        )
        try:
            outcome = await self._stored(self._stores.reconcile, listing, self._create_grace)
            await self._announce(outcome.changes)
            gone = await self._ask_for(poll.node, outcome.doubtful[:DOUBTS_AT_ONCE])
            if gone:
                confirmed = await self._stored(self._stores.confirm_ended, gone, poll.started.at)
                await self._announce(confirmed)
        except StorageUnavailableError as error:
            self._note_away("postgresql", error)
            return
        for meeting in outcome.left_over:
            try:
                await self._http.end_unused(poll.node, meeting, timeout=self._settings.poll_timeout)
            except NodeError as error:
                # It is listed again by the next poll, and tried again.
                logger.warning("left-over meeting not ended", node=poll.node.name, reason=str(error))

    async def _ask_for(self, node: Node, rows: Collection[MeetingRow]) -> list[MeetingRow]:
        """Those of the rows that the node itself says it does not have."""
        gone = []
        for row in rows:
            try:
                found = await self._http.find(node, row.meeting_id, timeout=self._settings.poll_timeout)
            except NodeError as error:
                logger.warning("unlisted meeting not confirmed", node=node.name, row=row.id, reason=str(error))
                break
            if found != row.internal_meeting_id:
                gone.append(row)
        return gone

    async def _announce(self, changes: Collection[Change]) -> None:
        try:
            await self._stored(self._stores.announce, changes)
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
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _snapshot(poll: _Poll, listed: Listed, ended: datetime, version: str) -> Snapshot:
    participants = {meeting.internal_meeting_id: meeting.participants for meeting in listed.meetings}
    return Snapshot(
        node_id=poll.node.id,
        fencing=poll.fencing,
        poll_started=poll.started.at,
        polled=ended,
        users=sum(participants.values()),
        video=sum(meeting.video for meeting in listed.meetings),
        participants=participants,
        bbb_version=version,
    )


def _changes(before: Node, after: Node) -> dict[str, object]:
    """What was changed, from what to what; of a secret only that it was."""
    old, new = asdict(before), asdict(after)
    return {name: "…" if name == "secret" else [old[name], new[name]] for name in old if old[name] != new[name]}
