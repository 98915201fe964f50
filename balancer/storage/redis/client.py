"""Redis: the client, and the one place where its errors become ours."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from balancer.errors import StorageUnavailableError

#: Seconds for a connection and for an answer: Redis is near and fast, or it is away.
TIMEOUT = 2.0
#: Seconds in which one caller finds out whether a Redis that let somebody wait answers again; nobody else waits.
_PAUSE = TIMEOUT + 1.0

#: One for each thread, of which a setting says how many there are; the client's own limit is 100.
_UNLIMITED = 2**31

Redis = redis.Redis


def connect(url: str, *, timeout: float = TIMEOUT) -> Redis:
    """A client for threads that live as long as the process. Nothing connects before the first command.

    url: redis://, rediss:// or unix://. One retry, because Redis may have closed an idle connection; none of a command
    that was not answered in time.
    """
    connections = _ConnectionOfThread.from_url(
        url,
        max_connections=_UNLIMITED,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return _Client.from_pool(connections)


class _ConnectionOfThread(redis.ConnectionPool):
    """Each thread keeps its connection: taking one, looking whether it is alive and giving it back costs as much as a
    command, and whether it is alive the command itself finds out. Errors leave it closed, and it opens again.

    For commands and pipelines, not for subscriptions; a process that has used it must not fork.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._own = threading.local()
        self._era = 0

    def begin_anew(self) -> None:
        """Every thread connects anew with its next command: where one connection is dead, all may be."""
        self._era += 1

    def get_connection(self, *_arguments: Any, **_options: Any) -> Any:
        kept = getattr(self._own, "connection", None)
        if kept is None:
            kept = self._own.connection = super().get_connection()
        elif self._own.era != self._era:
            kept.disconnect()
        self._own.era = self._era
        return kept

    def release(self, connection: Any) -> None:
        if connection is not getattr(self._own, "connection", None):
            super().release(connection)  # it could not connect


class _Client(redis.Redis):
    """A Redis that hangs costs one caller the timeout, not every step of every request. Threads share it."""

    _away_until = 0.0  #: of time.monotonic(); 0 while it answers

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        now = time.monotonic()
        if now < self._away_until:
            raise redis.ConnectionError("it did not answer in time a moment ago")
        if self._away_until:
            self._away_until = now + _PAUSE
        away_until = 0.0
        try:
            return self._exchange(arguments, options)
        except redis.TimeoutError:
            away_until = time.monotonic() + _PAUSE
            cast(_ConnectionOfThread, self.connection_pool).begin_anew()
            raise
        finally:
            self._away_until = away_until

    def _exchange(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """A command and its answer. Redis may have closed an idle connection: then once more, over another one.

        The client's own way takes twice as long over what only its telemetry and its other kinds of retry need.
        """
        connection = self.connection_pool.get_connection()
        try:
            return self._once(connection, arguments, options)
        except redis.ConnectionError:
            return self._once(connection, arguments, options)

    def _once(self, connection: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        # After any error it closes the connection, so that nothing late is taken for the next answer.
        connection.send_command(*arguments)
        return self.parse_response(connection, arguments[0], **options)  # type: ignore[no-untyped-call]


@contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Turn "away", "loading", "full" and "wrong password" into StorageUnavailableError."""
    try:
        yield
    except redis.RedisError as error:
        raise StorageUnavailableError(f"Redis: {error.__class__.__name__}") from error
