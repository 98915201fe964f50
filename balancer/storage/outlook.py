"""The outlook: what placement goes by until the next poll, read once in a while for all threads of a process."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from psycopg.rows import args_row

from balancer import log
from balancer.core.load import Load, PolledLoad, Reservations, YoungMeeting, load, polled_load
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot, observed_state
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import POOL_TIMEOUT, Connection, Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.snapshots import Snapshots

logger = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The nodes, and what their polls and the rows of young meetings say about them.

    A placement adds what was placed since, and leaves out nodes that have changed since.
    """

    now: datetime  #: PostgreSQL's
    nodes: Sequence[Node]
    changes: Mapping[int, datetime]  #: when each node was last changed
    observations: Mapping[int, Observation]
    observed: Mapping[int, ObservedState]  #: the state of every node at ``now``; it may be stale
    polled: Mapping[int, PolledLoad]  #: nodes with a fresh snapshot; a stale one says less than our own rows
    video_weight: float  #: users that one webcam weighs as much as

    def loads(self, reserved: Mapping[int, Reservations]) -> dict[int, Load]:
        """The load of every node."""
        return {
            node.id: load(
                self.polled.get(node.id), reserved.get(node.id, Reservations()), video_weight=self.video_weight
            )
            for node in self.nodes
        }

    @cached_property
    def polls(self) -> dict[str, object]:
        """Parameters of the query ``survey``. Arrays are written out once: psycopg would do it for every placement."""
        began = {number: each.snapshot.poll_started.isoformat() for number, each in self.polled.items()}
        return {
            "polled": f"{{{','.join(map(str, began))}}}",
            "polls": f"{{{','.join(began.values())}}}",
            "late": [name for each in self.polled.values() for name in each.late],
        }


def read_outlook(connection: Connection, snapshots: Mapping[int, Snapshot], settings: Settings) -> Outlook:
    """snapshots: the last one of each node."""
    now, young_for = clock.now(connection), timedelta(seconds=settings.young_meeting_seconds)
    cursor = connection.cursor(binary=True, row_factory=args_row(YoungMeeting))
    young: dict[int, list[YoungMeeting]] = {}
    for meeting in cursor.execute(queries("placement")["young"], {"seconds": settings.young_meeting_seconds}):
        young.setdefault(meeting.node_id, []).append(meeting)
    fresh = {number: each for number, each in snapshots.items() if each.fresh(now, settings.poll_interval)}
    # Read before the nodes: if a node changes in between, we hold the older time, and placement leaves the node out.
    changes = nodes.changes(connection)
    registered = [node for node in nodes.all_nodes(connection) if node.id in changes]
    observations = nodes.observations(connection)
    return Outlook(
        now=now,
        nodes=registered,
        changes=changes,
        observations=observations,
        observed={
            node.id: observed_state(observations.get(node.id), fresh.get(node.id), now, settings.poll_interval)
            for node in registered
        },
        polled={number: polled_load(each, young.get(number, ()), now, young_for) for number, each in fresh.items()},
        video_weight=settings.video_weight,
    )


@dataclass(frozen=True)
class _Entry:
    outlook: Outlook
    at: float  #: of time.monotonic()

    def serves(self, after: Outlook | None, life: float) -> bool:
        """Whether it is not ``after``, and younger than so many seconds."""
        return self.outlook is not after and time.monotonic() - self.at <= life


class OutlookCache:
    """One process's outlook. Threads share it."""

    def __init__(
        self,
        settings: Settings,
        snapshots: Snapshots,
        database: Database,
        *,
        life: float = 2.0,
        usable: float = 5.0,
        recent: float = 0.2,
        timeout: float = POOL_TIMEOUT,
    ) -> None:
        """All in seconds.

        life: how old an outlook may be before a thread refreshes it. usable: how old it may be and still be used while
        another thread refreshes it; longer than a Redis timeout. recent: how old it may be when a meeting is refused by
        it; when a pool is full, many creates are refused at once, and they must not all trigger a refresh.
        timeout: how long a thread without a usable outlook waits for the refresh.
        """
        self._settings = settings
        self._snapshots = snapshots
        self._database = database
        self._life, self._usable, self._recent, self._timeout = life, usable, recent, timeout
        self._lock = threading.Lock()
        self._entry: _Entry | None = None

    def outlook(self, after: Outlook | None = None) -> Outlook:
        """The outlook of a moment ago; a new one if that is ``after``, which did not serve.

        Without snapshots if Redis is away: placement then goes by PostgreSQL's rows alone.
        Raises StorageUnavailableError if PostgreSQL cannot be used.
        """
        entry = self._entry
        if entry and entry.serves(after, self._life):
            return entry.outlook
        # One thread refreshes it, and the others go on with what there is: a store that is slow holds up one create.
        usable = entry is not None and entry.serves(after, self._usable)
        if not self._lock.acquire(timeout=0 if usable else self._timeout):
            if entry and usable:
                return entry.outlook
            raise StorageUnavailableError("PostgreSQL: another thread's read of the nodes takes long")
        try:
            entry = self._entry
            if entry is None or not entry.serves(after, self._life):
                entry = self._entry = _Entry(self._read(), time.monotonic())
            return entry.outlook
        finally:
            self._lock.release()

    def is_recent(self, outlook: Outlook) -> bool:
        """Whether a refresh would find nothing new."""
        entry = self._entry
        return entry is not None and entry.outlook is outlook and entry.serves(None, self._recent)

    def forget(self) -> None:
        """Have the next placement read the outlook."""
        with self._lock:
            self._entry = None

    def _read(self) -> Outlook:
        try:
            snapshots = self._snapshots.all()
        except StorageUnavailableError as error:
            logger.warning("placing without snapshots", reason=str(error))
            snapshots = {}
        with self._database.single() as connection:
            return read_outlook(connection, snapshots, self._settings)
