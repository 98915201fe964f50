"""Redis: the client, and the one place where its errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from balancer.errors import StorageUnavailableError

#: Seconds for a connection and for an answer: Redis is near and fast, or it is away.
TIMEOUT = 2.0

Redis = redis.Redis


def connect(url: str, *, timeout: float = TIMEOUT) -> Redis:
    """A client with a pool of its own. Nothing connects before the first command.

    url: redis://, rediss:// or unix://. One retry, because Redis may have closed an idle connection.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1),
    )


@contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Turn "away", "loading", "full" and "wrong password" into StorageUnavailableError."""
    try:
        yield
    except redis.RedisError as error:
        raise StorageUnavailableError(f"Redis: {error.__class__.__name__}") from error
