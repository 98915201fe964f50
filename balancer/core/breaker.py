"""A circuit breaker: after failures in a row no call is sent for a while; then one call tries again.

Only calls without any answer are failures, because they hold a thread until they time out.
"""

import threading
from collections.abc import Callable


class Breaker:
    """Closed at first and after an answer; open after failures in a row. Threads share it."""

    def __init__(self, pause: float, clock: Callable[[], float], *, failures: int = 1) -> None:
        """pause: seconds without calls after a failure, and for which one trial call keeps others off;
        clock: seconds; failures: in a row, until it opens."""
        self._pause = pause
        self._clock = clock
        self._threshold = failures
        self._lock = threading.Lock()
        self._open_until: float | None = None  #: None while closed
        self.failures = 0  #: in a row
        self.reason = ""  #: of the last failure

    @property
    def open(self) -> bool:
        """Whether the last calls failed. The next call that is admitted is a trial."""
        return self._open_until is not None

    def admit(self) -> bool:
        """Whether the caller may send a call. While open, this admits one trial for each pause."""
        if self._open_until is None:
            return True
        with self._lock:
            now = self._clock()
            admitted = self._open_until is None or now >= self._open_until
            if admitted and self._open_until is not None:
                self._open_until = now + self._pause
        return admitted

    def failed(self, reason: str = "") -> bool:
        """Record a call without an answer. Returns whether this failure opened it."""
        with self._lock:
            was_open = self.open
            self.failures, self.reason = self.failures + 1, reason
            if self.failures >= self._threshold:
                self._open_until = self._clock() + self._pause
            return self.open and not was_open

    def answered(self) -> bool:
        """Record an answer, whatever it said. Returns whether this closed it."""
        if not self.failures:
            return False
        with self._lock:
            was_open = self.open
            self.failures, self.reason, self._open_until = 0, "", None
            return was_open
