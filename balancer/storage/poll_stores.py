"""What a poll reads and writes in both stores: plain calls, for the threads of the poller."""

from collections.abc import Collection
from datetime import datetime, timedelta

from psycopg.rows import args_row

from balancer.core.health import Health
from balancer.core.nodes import Node, Observation
from balancer.core.reconciliation import MeetingRow, NodeListing
from balancer.storage.announcer import Announcer
from balancer.storage.postgresql import clock, nodes, reconciliation
from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.reconciliation import Outcome
from balancer.storage.postgresql.sql import queries
from balancer.storage.postgresql.transitions import Change
from balancer.storage.redis.client import Redis
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import LocatedMeeting, Whereabouts


class PollStores:
    """Every method raises StorageUnavailableError where its store cannot be used."""

    def __init__(self, database: Database, client: Redis) -> None:
        self._database = database
        self._whereabouts = Whereabouts(client)
        self._announcer = Announcer(self._whereabouts, PollRequests(client))
        self.snapshots = Snapshots(client)

    def now(self) -> datetime:
        """PostgreSQL's time."""
        with self._database.transaction() as connection:
            return clock.now(connection)

    def nodes(self) -> list[Node]:
        with self._database.transaction() as connection:
            return nodes.all_nodes(connection)

    def observations(self) -> dict[int, Observation]:
        with self._database.transaction() as connection:
            return nodes.observations(connection)

    def observe(self, node_id: int, fencing: int, health: Health, bbb_version: str, digests: Collection[str]) -> None:
        """Store a transition; a newer lease holder's word stays."""
        with self._database.transaction() as connection:
            nodes.observe(
                connection,
                node_id,
                health.state,
                reason=health.reason,
                bbb_version=bbb_version,
                digests=digests,
                fencing=fencing,
            )

    def reconcile(self, listing: NodeListing, create_grace: timedelta) -> Outcome:
        return reconciliation.reconcile(self._database, listing, create_grace=create_grace)

    def confirm_ended(self, rows: Collection[MeetingRow], poll_started: datetime) -> list[Change]:
        return reconciliation.confirm_ended(self._database, rows, poll_started)

    def announce(self, changes: Collection[Change]) -> None:
        """Announce what changed. Raises StorageUnavailableError if Redis is away."""
        self._announcer.announce(changes)

    def copy_running(self) -> int:
        """Renew the location of every running meeting in Redis; returns how many there are."""
        copied = self._running()
        self._whereabouts.note_all(list(copied))
        # A meeting that ended in between may have had its location removed before it was copied.
        for tenant_id, meeting_id, location in copied - self._running():
            self._whereabouts.forget(tenant_id, meeting_id, location.row)
        return len(copied)

    def _running(self) -> set[LocatedMeeting]:
        with self._database.single() as connection:
            cursor = connection.cursor(row_factory=args_row(LocatedMeeting.read))
            return set(cursor.execute(queries("meetings")["all_running"]))
