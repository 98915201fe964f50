"""What a poll reads and writes in both stores: plain calls, for the threads of the poller."""

from collections.abc import Collection
from datetime import datetime, timedelta

from psycopg.rows import args_row

from balancer.core.health import Health
from balancer.core.nodes import Node, Observation
from balancer.core.reconciliation import Listing, Placed
from balancer.storage.postgresql import clock, nodes, reconciliation
from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.reconciliation import Change, Outcome
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.client import Redis
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Place, Running, Whereabouts


class PollStores:
    """Every method raises StorageUnavailableError where its store cannot be used."""

    def __init__(self, database: Database, client: Redis) -> None:
        self._database = database
        self._placements = Whereabouts(client)
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

    def reconcile(self, listing: Listing, create_grace: timedelta) -> Outcome:
        return reconciliation.reconcile(self._database, listing, create_grace=create_grace)

    def confirm_ended(self, rows: Collection[Placed], poll_started: datetime) -> list[Change]:
        return reconciliation.confirm_ended(self._database, rows, poll_started)

    def copy(self, node_id: int, changes: Collection[Change]) -> None:
        """Keep the copy in Redis in step that joins are answered from."""
        for change in changes:
            row = change.row
            if change.to_state == "running" and change.internal_meeting_id:
                place = Place(row.id, node_id, change.internal_meeting_id)
                self._placements.note(row.tenant_id, row.meeting_id, place)
            else:
                self._placements.forget(row.tenant_id, row.meeting_id, row.id)

    def copy_running(self) -> int:
        """Copy the place of every running meeting for the whole life of a copy; how many there are."""
        copied = self._running()
        self._placements.note_all(list(copied))
        # Whoever ended one meanwhile may have forgotten its copy before it was made.
        for tenant_id, meeting_id, place in copied - self._running():
            self._placements.forget(tenant_id, meeting_id, place.row)
        return len(copied)

    def _running(self) -> set[Running]:
        with self._database.single() as connection, connection.cursor(row_factory=args_row(Running.read)) as cursor:
            return set(cursor.execute(queries("meetings")["all_running"]))
