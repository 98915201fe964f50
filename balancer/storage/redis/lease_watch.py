"""Whether any process holds a lease, for processes that do not want the lease themselves."""

import time
from collections.abc import Callable

from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis


class LeaseWatch:
    """What the last checks of the lease ``name`` found."""

    def __init__(
        self, name: str, client: Redis, *, valid_for: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """valid_for: seconds for which a check counts, because the lease may change hands or Redis may be away."""
        self._key = keys.lease(name)
        self._client = client
        self._valid_for = valid_for
        self._clock = clock
        self._valid_until = float("-inf")

    def check(self) -> None:
        """Ask Redis. Raises StorageUnavailableError."""
        asked_at = self._clock()
        with self._client.guarded():
            if self._client.exists(self._key):
                self._valid_until = asked_at + self._valid_for

    @property
    def held(self) -> bool:
        """Whether the lease was held at a check that still counts; does not ask Redis."""
        return self._clock() < self._valid_until
