"""PostgreSQL: the pool, transactions, and the one place where the driver's errors become ours."""

import math
import select
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
import psycopg.errors
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from balancer.errors import SettingsError, StorageUnavailableError
from balancer.storage.postgresql.watchdog import Watchdog

#: Seconds a request waits for a free connection, and for a new one to be made.
POOL_TIMEOUT = 3.0
#: Seconds after which one series of tries to connect is given up; the next request begins another.
_RECONNECT = 0.5
#: Seconds in which nobody waits after that.
_PAUSE = 3.0
#: Seconds after which a connection's silence proves nothing any more: a firewall may have forgotten it.
_TRUSTED = 5.0
#: A server whose host vanished says nothing: without these the kernel tells only after a quarter of an hour.
_VANISHED: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
#: Text is UTF-8 whatever the server or its environment prefers.
_ROWS: dict[str, Any] = {"row_factory": dict_row, "client_encoding": "utf8"}
_TIMEOUTS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
#: Compiling a query, or starting workers for it, takes longer than any of ours that has few rows to read; where the
#: planner expects many by mistake, 10 to 200 ms would be lost.
_SESSION = f"-c timezone=UTC {_TIMEOUTS} -c jit=off -c max_parallel_workers_per_gather=0"


#: The driver's ways of saying "not now".
_UNAVAILABLE = (
    PoolTimeout,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


class Connection(psycopg.Connection[DictRow]):
    """A connection whose rows are dicts by column."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.used = float("-inf")  #: when the pool last had it back, of time.monotonic()
        self.prepared: set[bytes] = set()  #: names of storage.prepared's statements


class Database:
    """A pool of connections. Nothing connects before open()."""

    def __init__(self, url: str, *, application_name: str, size: int = 8, patience: float = math.inf) -> None:
        """url: a libpq URI; size: connections at most; patience: seconds that one block may take."""
        self._away_until = 0.0  #: of time.monotonic()
        self._overdue = Watchdog(patience, self._note_away)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=Connection,
            open=False,
            min_size=1,
            max_size=size,
            timeout=POOL_TIMEOUT,
            # Its own patience doubles from try to try: after a long outage it would come back minutes late.
            reconnect_timeout=_RECONNECT,
            reconnect_failed=self._note_away,
            # A connection that the server closed (a restart, a failover) is found here and not in a request.
            check=self._check,
            kwargs={
                **_ROWS,
                "application_name": application_name,
                "connect_timeout": int(POOL_TIMEOUT),
                **_VANISHED,
                "options": _SESSION,
            },
        )

    def open(self) -> None:
        """Start connecting in the background; the database may be away at this moment."""
        self._pool.open(wait=False)
        self._overdue.start()

    def close(self) -> None:
        self._overdue.stop()
        self._pool.close()

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction: committed at the end, rolled back where the block raises.

        Raises StorageUnavailableError where PostgreSQL is away, too busy, or refuses to write.
        """
        return self._connection(autocommit=False)

    def single(self) -> AbstractContextManager[Connection]:
        """A connection outside any transaction, which costs two round trips less: for a statement that stands alone.

        Raises StorageUnavailableError where PostgreSQL is away or too busy.
        """
        return self._connection(autocommit=True)

    @contextmanager
    def _connection(self, *, autocommit: bool) -> Iterator[Connection]:
        # Instead of the pool's own context manager: that one commits even where there is nothing to commit, which is
        # dear for something that every request does.
        if time.monotonic() < self._away_until:
            # Whoever waited would keep a thread from those that need no PostgreSQL.
            raise StorageUnavailableError("PostgreSQL: could not be reached a moment ago")
        try:
            connection = self._pool.getconn()
            self._overdue.begin(connection)
            try:
                if connection.autocommit is not autocommit:
                    connection.autocommit = autocommit
                yield connection
                if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                    connection.commit()
                connection.used = time.monotonic()
            except BaseException:
                # Where that fails the connection is broken, and the pool replaces it.
                with suppress(psycopg.Error):
                    connection.rollback()
                raise
            finally:
                self._overdue.end(connection)
                self._pool.putconn(connection)
        except _UNAVAILABLE as error:
            if isinstance(error, PoolTimeout):
                # All connections are held for seconds already: who comes next need not wait as long to learn it.
                self._note_away()
            raise _as_ours(error) from error

    def _check(self, connection: Connection) -> None:
        """Raises psycopg.Error where the server has closed the connection, which is then replaced.

        A server that goes (a restart, a failover) says so, or its host does: there is something to read. Only for a
        connection that has been idle for a while is a round trip paid.
        """
        silent = select.poll()
        silent.register(connection.fileno(), select.POLLIN)
        if time.monotonic() - connection.used > _TRUSTED or silent.poll(0):
            self._overdue.begin(connection)
            try:
                ConnectionPool.check_connection(connection)
            finally:
                self._overdue.end(connection)

    def _note_away(self, _pool: ConnectionPool[Connection] | None = None) -> None:
        self._away_until = time.monotonic() + _PAUSE

    def check(self) -> None:
        """Raises StorageUnavailableError unless a query is answered."""
        with self.single() as connection:
            connection.execute("SELECT 1")


@contextmanager
def committing(connection: Connection) -> Iterator[None]:
    """Send a transaction's last statements with its COMMIT, in one round trip; what they return is fetched afterwards.

    Where one fails, it raises here and nothing is committed.
    """
    with connection.pipeline():
        yield
        connection.commit()


@contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Turn the driver's ways of saying "not now" into StorageUnavailableError; mistakes of ours stay as they are."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> StorageUnavailableError:
    return StorageUnavailableError(f"PostgreSQL: {error.__class__.__name__}")


def connect(url: str, **kwargs: Any) -> Connection:
    """One connection outside any pool, for commands and migrations.

    Raises StorageUnavailableError, and SettingsError where the URL is none.
    """
    try:
        with unavailable_as_ours():
            given = {"connect_timeout": int(POOL_TIMEOUT), **_ROWS, **_VANISHED, **kwargs}
            return Connection.connect(url, **given)
    except psycopg.ProgrammingError:
        # libpq's own words repeat parts of the URL, which holds a password.
        raise SettingsError("BALANCER_DATABASE_URL is not a libpq URI: postgresql://USER:PASSWORD@HOST/NAME") from None
