"""Access to both stores for the poller: blocking calls, to be made in its threads."""

from collections.abc import Callable, Collection
from typing import Concatenate, ParamSpec, TypeVar

from psycopg.rows import args_row

from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.reconciliation import Change
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.client import Redis
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Place, Running, Whereabouts

P = ParamSpec("P")
T = TypeVar("T")


class PollStores:
    """Every method raises StorageUnavailableError if its store cannot be used."""

    def __init__(self, database: Database, client: Redis) -> None:
        self.database = database
        self.snapshots = Snapshots(client)
        self._whereabouts = Whereabouts(client)

    def transact(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function with a connection in a transaction."""
        with self.database.transaction() as connection:
            return function(connection, *args, **kwargs)

    def copy(self, node_id: int, changes: Collection[Change]) -> None:
        """Apply changes to the copy in Redis that joins are answered from."""
        for change in changes:
            row = change.row
            if change.to_state == "running" and change.internal_meeting_id:
                place = Place(row.id, node_id, change.internal_meeting_id)
                self._whereabouts.note(row.tenant_id, row.meeting_id, place)
            else:
                self._whereabouts.forget(row.tenant_id, row.meeting_id, row.id)

    def copy_running(self) -> int:
        """Copy the place of every running meeting, for the whole life of a copy; returns how many there are."""
        copied = self._running()
        self._whereabouts.note_all(list(copied))
        # A request that ended one of them since may have removed its copy before it was made.
        for tenant_id, meeting_id, place in copied - self._running():
            self._whereabouts.forget(tenant_id, meeting_id, place.row)
        return len(copied)

    def _running(self) -> set[Running]:
        with self.database.single() as connection, connection.cursor(row_factory=args_row(Running.read)) as cursor:
            return set(cursor.execute(queries("meetings")["all_running"]))
