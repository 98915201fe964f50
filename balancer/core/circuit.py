"""A circuit breaker for one node in one process: after failures in a row no call is sent for a while, then one tries.

Only calls without any answer count as failures: they hold a thread until they time out. Any answer closes the circuit.
"""

from dataclasses import dataclass, replace

#: Failures in a row after which the circuit opens.
FAILURES = 3
#: Seconds without calls after a failure; also the time that a trial call has to itself.
REST = 2.0


@dataclass(frozen=True)
class Circuit:
    """Closed at first, and again after an answer. Times are seconds of any clock."""

    failures: int = 0  #: in a row
    reason: str = ""  #: of the last failure: dns connect tls slow
    rests_until: float | None = None  #: None while closed

    def admits(self, now: float) -> bool:
        """Whether a call may be sent."""
        return self.rests_until is None or now >= self.rests_until

    def tried(self, now: float) -> "Circuit":
        """After a call was sent: an open circuit admits no other for ``REST`` seconds, unless this one ends before."""
        return self if self.rests_until is None else replace(self, rests_until=now + REST)

    def failed(self, now: float, reason: str) -> "Circuit":
        """After a call without an answer."""
        failures = self.failures + 1
        return Circuit(failures, reason, now + REST if failures >= FAILURES else None)
