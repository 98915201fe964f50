"""A lease in Redis: at most one holder at a time, with a fencing number that only ever grows."""

import secrets
import time
from collections.abc import Callable
from typing import cast

from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis, unavailable_as_ours

# Only the holder may prolong or give up: the key may have run out and be another's by now.
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

#: The lease of the process that polls the nodes.
POLLER = "poller"


class Lease:
    """One process's claim to the lease ``name``. Methods raise StorageUnavailableError with a store away."""

    def __init__(
        self,
        name: str,
        client: Redis,
        database: Database,
        *,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ttl: seconds until a holder that no longer renews has lost it."""
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
        """The fencing number while this process holds the lease, else None; asks nobody.

        The holder stops by its own clock, which started before Redis's did: it never believes longer than Redis.
        """
        return self._fencing if self._clock() < self._valid_until else None

    def hold(self) -> int | None:
        """Take the lease or prolong it; the fencing number, or None where another process has it."""
        if self._fencing is not None:
            if self._prolong():
                return self._fencing
            self._fencing = None
        return self._take()

    def release(self) -> None:
        """Give it up at once, so that the next process need not wait."""
        self._fencing, self._valid_until = None, 0.0
        with unavailable_as_ours():
            self._release(keys=[self._key], args=[self._token])

    def _take(self) -> int | None:
        # A token for each try: one that ran out can never be taken for this one.
        self._token = secrets.token_hex(16)
        with unavailable_as_ours():
            if not self._client.set(self._key, self._token, nx=True, px=self._milliseconds):
                return None
        try:
            # Drawn while the key is ours, so it is above every earlier holder's; and used only if the key is ours
            # still, so no later holder has drawn a lower one.
            fencing = self._next_fencing()
            taken = self._prolong()
        except BaseException:
            self.release()
            raise
        self._fencing = fencing if taken else None
        return self._fencing

    def _prolong(self) -> bool:
        asked_at = self._clock()
        with unavailable_as_ours():
            held = bool(self._renew(keys=[self._key], args=[self._token, self._milliseconds]))
        self._valid_until = asked_at + self._ttl if held else 0.0
        return held

    def _next_fencing(self) -> int:
        with self._database.transaction() as connection:
            (row,) = connection.execute(queries("lease")["next_fencing"])
        return cast(int, row["fencing"])

    @property
    def _milliseconds(self) -> int:
        return round(self._ttl * 1000)


class LeaseWatch:
    """Whether anybody holds a lease, for those who do not want it themselves."""

    def __init__(
        self, name: str, client: Redis, *, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """patience: seconds for which one look is believed, though the lease may change hands or Redis be away."""
        self._key = keys.lease(name)
        self._client = client
        self._patience = patience
        self._clock = clock
        self._believed_until = float("-inf")

    def look(self) -> None:
        """Ask Redis. Raises StorageUnavailableError."""
        asked_at = self._clock()
        with unavailable_as_ours():
            if self._client.exists(self._key):
                self._believed_until = asked_at + self._patience

    @property
    def held(self) -> bool:
        """As far as the looks tell; asks nobody."""
        return self._clock() < self._believed_until
