"""PostgreSQL's time for the poller, which compares it with times that requests wrote."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from balancer.errors import StorageUnavailableError

#: Seconds without asking again once PostgreSQL did not answer: every poll would wait for it otherwise.
PAUSE = 5.0


@dataclass(frozen=True)
class Moment:
    at: datetime
    exact: bool  #: False: reckoned while PostgreSQL was away; good for a snapshot's age, not for ending a meeting


class ClusterClock:
    """Asks PostgreSQL; many that ask at one time share an answer."""

    def __init__(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        """ask: PostgreSQL's time, or StorageUnavailableError."""
        self._ask = ask
        self._asking: asyncio.Task[datetime] | None = None
        self._last: tuple[datetime, float] | None = None
        self._away_until = 0.0

    async def now(self) -> Moment:
        """Never later than the true moment of the call's return.

        Raises StorageUnavailableError where PostgreSQL never answered since this process began.
        """
        if time.monotonic() < self._away_until and self._last is not None:
            return self._reckoned()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        try:
            # An answer that was asked for before this call tells an earlier time: that errs to the safe side.
            at = await asyncio.shield(self._asking)
        except StorageUnavailableError:
            self._away_until = time.monotonic() + PAUSE
            if self._last is None:
                raise
            return self._reckoned()
        self._last = (at, time.monotonic())
        return Moment(at, exact=True)

    def _reckoned(self) -> Moment:
        assert self._last is not None  # noqa: S101 - both callers looked
        at, then = self._last
        return Moment(at + timedelta(seconds=time.monotonic() - then), exact=False)
