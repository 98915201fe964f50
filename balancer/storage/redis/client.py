"""Redis: the client, and the one place that turns its errors into ours."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from balancer.core.breaker import Breaker
from balancer.errors import StorageUnavailableError

#: Seconds for connecting and for an answer: Redis is near and fast, or it is away.
TIMEOUT = 2.0
#: Seconds without commands after a timeout. One caller then tries again, and pays the timeout if Redis still hangs.
PAUSE = TIMEOUT + 1.0
#: The pool's own limit is 100 connections. Settings limit the number of threads, and each uses one at a time.
_UNLIMITED = 2**31


class Redis(redis.Redis):
    """redis-py's client, and a guard so that a Redis that hangs costs one caller the timeout. Threads share it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._breaker = Breaker(PAUSE, time.monotonic)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """For every use of the client.

        Raises StorageUnavailableError if Redis is away, hangs, is loading or full, or refuses the password.
        """
        if not self._breaker.admit():
            raise StorageUnavailableError("Redis: did not answer in time a moment ago")
        try:
            yield
            self._breaker.answered()
        except redis.TimeoutError as error:
            self._breaker.failed()
            # If one connection is dead (a firewall dropped it), all idle ones may be.
            self.connection_pool.disconnect(inuse_connections=False)
            raise _as_ours(error) from error
        except redis.RedisError as error:
            self._breaker.answered()  # or refused the connection, which takes no time
            raise _as_ours(error) from error


def _as_ours(error: redis.RedisError) -> StorageUnavailableError:
    return StorageUnavailableError(f"Redis: {error.__class__.__name__}")


def connect(url: str, *, timeout: float = TIMEOUT) -> Redis:
    """A client. Nothing connects before the first command.

    url: redis://, rediss:// or unix://; timeout: seconds. A command is retried once, because Redis may have closed an
    idle connection, but not after a timeout.
    """
    client = Redis.from_url(
        url,
        max_connections=_UNLIMITED,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return cast(Redis, client)  # annotated as its base class
