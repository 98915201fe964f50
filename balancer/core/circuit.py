"""A node's circuit in one process: after failures in a row nothing is sent to it for a while, then one call tries.

Only failures to get any answer count: they hold a thread until their time is up. An answer, good or bad, closes it.
"""

from dataclasses import dataclass, replace

#: Failures in a row after which it opens.
FAILURES = 3
#: Seconds for which nothing is sent after a failure, and for which one call has the trial to itself.
REST = 2.0


@dataclass(frozen=True)
class Circuit:
    """Closed as it begins, and anew after an answer. Times are any clock's seconds."""

    failures: int = 0  #: in a row
    reason: str = ""  #: of the last one: dns connect tls slow
    rests_until: float | None = None  #: None while closed

    def admits(self, now: float) -> bool:
        """Whether a call may be sent."""
        return self.rests_until is None or now >= self.rests_until

    def tried(self, now: float) -> "Circuit":
        """As a call is sent: an open one admits the next only where this one has not ended after ``REST`` seconds."""
        return self if self.rests_until is None else replace(self, rests_until=now + REST)

    def failed(self, now: float, reason: str) -> "Circuit":
        """After a call without an answer."""
        failures = self.failures + 1
        return Circuit(failures, reason, now + REST if failures >= FAILURES else None)
