"""PostgreSQL's time for the poller, which compares it with times that requests wrote."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from balancer.core.breaker import Breaker
from balancer.errors import StorageUnavailableError

#: Seconds after a failure before PostgreSQL is asked again; otherwise every poll would wait for it.
PAUSE = 5.0
#: Seconds for which an answer is used again; otherwise hundreds of nodes would cause fifty queries a second.
LIFE = 1.0
#: How much faster our clock may run than PostgreSQL's while both are being corrected (ntpd and chrony slew less).
_DRIFT = 0.001


@dataclass(frozen=True)
class Moment:
    at: datetime
    exact: bool  #: False: estimated while PostgreSQL was away; good for a snapshot's age, not for ending a meeting


class ClusterClock:
    """Asks PostgreSQL. Calls at the same time or soon after share an answer."""

    def __init__(self, ask: Callable[[], Awaitable[datetime]], clock: Callable[[], float] = time.monotonic) -> None:
        """ask: returns PostgreSQL's time or raises StorageUnavailableError; clock: seconds."""
        self._ask = ask
        self._clock = clock
        self._asking: asyncio.Task[datetime] | None = None
        self._last: tuple[datetime, float] | None = None
        self._breaker = Breaker(PAUSE, clock)

    async def now(self) -> Moment:
        """Never later than the true time when the call returns.

        Raises StorageUnavailableError if PostgreSQL has never answered this process.
        """
        asking = self._asking is not None and not self._asking.done()
        if self._last is not None and not asking and not self._breaker.admit():
            return self._reckoned(exact=False)
        if self._last is not None and self._clock() - self._last[1] < LIFE:
            return self._reckoned(exact=True)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        try:
            # The answer to an earlier query is an earlier time, which errs on the safe side.
            at = await asyncio.shield(self._asking)
        except StorageUnavailableError:
            self._breaker.failed()
            if self._last is None:
                raise
            return self._reckoned(exact=False)
        self._breaker.answered()
        self._last = (at, self._clock())  # later than the answer was made, so estimates from it err on the safe side
        return Moment(at, exact=True)

    def _reckoned(self, *, exact: bool) -> Moment:
        assert self._last is not None  # noqa: S101 - every caller has checked
        at, then = self._last
        return Moment(at + timedelta(seconds=(self._clock() - then) * (1 - _DRIFT)), exact)
