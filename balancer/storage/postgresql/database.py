"""PostgreSQL: the connection pool, transactions, and the one place that turns the driver's errors into ours."""

import math
import select
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
import psycopg.errors
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from balancer import log
from balancer.core.breaker import Breaker
from balancer.errors import SettingsError, StorageUnavailableError

#: Seconds that a request waits for a free connection, and that connecting may take.
POOL_TIMEOUT = 3.0
#: Seconds after which the pool gives up a series of attempts to connect; the next request starts another one.
_RECONNECT = 0.5
#: Seconds for which requests fail at once after that, or after a timeout.
PAUSE = 3.0
#: Seconds of idleness after which a connection is tested before use: a firewall may have dropped it silently.
_IDLE_TRUSTED = 5.0
#: If the server's host vanishes, no packet says so. Without these settings the kernel reports it after 15 minutes.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
#: Text is UTF-8 whatever the server or its environment prefers.
_ROWS: dict[str, Any] = {"row_factory": dict_row, "client_encoding": "utf8"}
_TIMEOUTS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
#: Our queries read few rows. If the planner expects many by mistake, compiling a query or starting parallel workers
#: would cost 10 to 200 ms.
_SESSION = f"-c timezone=UTC {_TIMEOUTS} -c jit=off -c max_parallel_workers_per_gather=0"

#: The driver's ways of saying "not now".
_UNAVAILABLE = (
    PoolTimeout,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)

logger = log.get(__name__)


class Connection(psycopg.Connection[DictRow]):
    """A connection whose rows are dicts by column, with a client-side time limit.

    A server that hangs (its disk hangs, or it is stopped) cannot enforce statement_timeout. Its kernel still
    acknowledges what we send, so TCP keepalives do not help either.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.last_used = -math.inf  #: when the pool last got it back, of time.monotonic()
        self.deadline = math.inf  #: when waiting for the server ends, of time.monotonic()

    @property
    def overdue(self) -> bool:
        return time.monotonic() >= self.deadline

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server; psycopg calls this for everything that it sends.

        Raises psycopg.OperationalError once ``deadline`` has passed, and closes the connection, because a late answer
        would be taken for that of the next statement.
        """
        if self.deadline == math.inf:
            return super().wait(gen, interval, timeout)
        left = max(0.0, self.deadline - time.monotonic())
        try:
            return super().wait(gen, interval, left if timeout is None else min(left, timeout))
        except psycopg.OperationalError as error:
            if not self.overdue:
                raise
            self.close()
            raise psycopg.OperationalError("the server did not answer in time") from error


class Database:
    """A pool of connections. Nothing connects before open()."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        size: int = 8,
        time_limit: float = math.inf,
        pool_timeout: float = POOL_TIMEOUT,
    ) -> None:
        """url: a libpq URI; size: the most connections; time_limit: seconds that one block may take; pool_timeout:
        seconds that it waits for a connection."""
        self._time_limit = time_limit
        self._breaker = Breaker(PAUSE, time.monotonic)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=Connection,
            open=False,
            min_size=1,
            max_size=size,
            timeout=pool_timeout,
            # The pool doubles its delay after each attempt: after a long outage it would be minutes late.
            reconnect_timeout=_RECONNECT,
            reconnect_failed=lambda _pool: self._note_away(),
            # Finds connections that the server closed (a restart, a failover) before a request uses them.
            check=self._check,
            kwargs={
                **_ROWS,
                "application_name": application_name,
                "connect_timeout": int(POOL_TIMEOUT),
                **_KEEPALIVE,
                "options": _SESSION,
            },
        )

    def open(self) -> None:
        """Start connecting in the background; the database may be away at this moment."""
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close()

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction: committed at the end, rolled back if the block raises.

        Raises StorageUnavailableError if PostgreSQL is away, too busy, or refuses to write.
        """
        return self._connection(autocommit=False)

    def single(self) -> AbstractContextManager[Connection]:
        """A connection outside any transaction, for a single statement: this saves two round trips.

        Raises StorageUnavailableError if PostgreSQL is away or too busy.
        """
        return self._connection(autocommit=True)

    @contextmanager
    def _connection(self, *, autocommit: bool) -> Iterator[Connection]:
        trial = self._breaker.open
        if not self._breaker.admit():
            # Waiting would take a thread from requests that need no PostgreSQL.
            raise StorageUnavailableError("PostgreSQL: could not be reached a moment ago")
        try:
            connection = self._pool.getconn()
            if trial:
                self._breaker.answered()  # to _check, or to a new connection
            try:
                with self._limited(connection), _block(connection, autocommit):
                    yield connection
            finally:
                self._pool.putconn(connection)
        except _UNAVAILABLE as error:
            if isinstance(error, PoolTimeout):
                self._note_away()  # All connections have been busy for seconds: let the next callers fail at once.
            raise _as_ours(error) from error

    @contextmanager
    def _limited(self, connection: Connection) -> Iterator[None]:
        """Give the block the time limit."""
        connection.deadline = time.monotonic() + self._time_limit
        try:
            yield
        except psycopg.OperationalError:
            if connection.overdue:
                self._note_away()
                logger.warning("PostgreSQL did not answer in time", seconds=self._time_limit)
            raise
        finally:
            connection.deadline = math.inf

    def _check(self, connection: Connection) -> None:
        """Test a connection before it is handed out. Raises psycopg.Error if it is dead; the pool then replaces it.

        A server that shuts down (a restart, a failover) says so, or its host does, and then the socket is readable.
        Only a connection that has been idle for a while, or one used to try PostgreSQL again, costs a round trip.
        """
        readable = select.poll()
        readable.register(connection.fileno(), select.POLLIN)
        idle = time.monotonic() - connection.last_used
        if idle > _IDLE_TRUSTED or self._breaker.open or readable.poll(0):
            with self._limited(connection):
                ConnectionPool.check_connection(connection)

    def _note_away(self) -> None:
        self._breaker.failed()

    def check(self) -> None:
        """Raises StorageUnavailableError unless a query is answered."""
        with self.single() as connection:
            connection.execute("SELECT 1")


@contextmanager
def _block(connection: Connection, autocommit: bool) -> Iterator[None]:
    """Commit or roll back at the end; psycopg's own context manager commits even if nothing was executed."""
    try:
        if connection.autocommit is not autocommit:
            connection.autocommit = autocommit
        yield
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.commit()
        connection.last_used = time.monotonic()
    except BaseException:
        # If rollback fails, the connection is broken and the pool replaces it.
        with suppress(psycopg.Error):
            connection.rollback()
        raise


@contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Turn the driver's ways of saying "not now" into StorageUnavailableError; our own mistakes pass as they are."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> StorageUnavailableError:
    return StorageUnavailableError(f"PostgreSQL: {error.__class__.__name__}")


def connect(url: str, **kwargs: Any) -> Connection:
    """A connection outside any pool, for commands and migrations.

    Raises StorageUnavailableError, and SettingsError if the URL is malformed.
    """
    try:
        with unavailable_as_ours():
            given = {"connect_timeout": int(POOL_TIMEOUT), **_ROWS, **_KEEPALIVE, **kwargs}
            return Connection.connect(url, **given)
    except psycopg.ProgrammingError:
        # libpq's message quotes parts of the URL, which holds a password.
        raise SettingsError("BALANCER_DATABASE_URL is not a libpq URI: postgresql://USER:PASSWORD@HOST/NAME") from None
