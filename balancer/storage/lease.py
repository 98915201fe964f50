"""A lease in Redis: at most one holder at a time, with a fencing number that only grows."""

import secrets
import time
from collections.abc import Callable
from typing import cast

from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis

_SQL = queries("lease")

# Only the holder may renew or release: the key may have expired and belong to another process by now.
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

#: The lease of the process that polls the nodes.
POLLER = "poller"


class Lease:
    """One process's claim to the lease ``name``. Methods raise StorageUnavailableError if a store is away."""

    def __init__(
        self,
        name: str,
        client: Redis,
        database: Database,
        *,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ttl: seconds after which a holder that does not renew loses it."""
        self._key = keys.lease(name)
        self._client = client
        self._database = database
        self._ttl = ttl
        self._clock = clock
        self._token = secrets.token_hex(16)
        self._renew = client.register_script(_RENEW)
        self._release = client.register_script(_RELEASE)
        self._fencing: int | None = None
        self._valid_until = 0.0

    @property
    def fencing(self) -> int | None:
        """The fencing number while this process holds the lease, else None; asks no store.

        The holder measures the time to live from before its request, so its claim ends before Redis's.
        """
        return self._fencing if self._clock() < self._valid_until else None

    def hold(self) -> int | None:
        """Take the lease or renew it. Returns the fencing number, or None if another process holds it."""
        if self._fencing is not None:
            if self._extend():
                return self._fencing
            self._fencing = None
        return self._take()

    def release(self) -> None:
        """Give it up at once, so that the next process does not have to wait."""
        self._fencing, self._valid_until = None, 0.0
        with self._client.guarded():
            self._release(keys=[self._key], args=[self._token])

    def _take(self) -> int | None:
        # A new token for each attempt, so that an expired lease is never mistaken for this one.
        self._token = secrets.token_hex(16)
        with self._client.guarded():
            if not self._client.set(self._key, self._token, nx=True, px=self._milliseconds):
                return None
        try:
            # We draw the number while the key is ours, so it is higher than any earlier holder's. We use it only if
            # the key is still ours afterwards, so no later holder has drawn a lower one.
            fencing = self._next_fencing()
            taken = self._extend()
        except BaseException:
            self.release()
            raise
        self._fencing = fencing if taken else None
        return self._fencing

    def _extend(self) -> bool:
        asked_at = self._clock()
        with self._client.guarded():
            held = bool(self._renew(keys=[self._key], args=[self._token, self._milliseconds]))
        self._valid_until = asked_at + self._ttl if held else 0.0
        return held

    def _next_fencing(self) -> int:
        with self._database.transaction() as connection:
            (row,) = connection.execute(_SQL["next_fencing"])
        return cast(int, row["fencing"])

    @property
    def _milliseconds(self) -> int:
        return round(self._ttl * 1000)
