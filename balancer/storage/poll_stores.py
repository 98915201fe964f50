"""Access to both stores for the poller: blocking calls, to be made in its threads."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from psycopg.rows import args_row

from balancer.storage.announcer import Announcer
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.client import Redis
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import LocatedMeeting, Whereabouts

P = ParamSpec("P")
T = TypeVar("T")


class PollStores:
    """Every method raises StorageUnavailableError if its store cannot be used."""

    def __init__(self, database: Database, client: Redis) -> None:
        self.database = database
        self.snapshots = Snapshots(client)
        self._whereabouts = Whereabouts(client)
        self.announcer = Announcer(self._whereabouts, PollRequests(client))

    def transact(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function with a connection in a transaction."""
        with self.database.transaction() as connection:
            return function(connection, *args, **kwargs)

    def copy_running(self) -> int:
        """Renew the location of every running meeting in Redis; returns how many there are."""
        copied = self._running()
        self._whereabouts.note_all(list(copied))
        # A request that ended one of them since may have removed its location before it was written.
        for tenant_id, meeting_id, location in copied - self._running():
            self._whereabouts.forget(tenant_id, meeting_id, location.row)
        return len(copied)

    def _running(self) -> set[LocatedMeeting]:
        with self.database.single() as connection:
            cursor = connection.cursor(row_factory=args_row(LocatedMeeting.read))
            return set(cursor.execute(queries("meetings")["all_running"]))
