"""A node's state from its polls: thresholds for failures and passes, and failures of our own network.

1. At its first failed poll a node becomes suspect. It gets no new meetings while another node is online.
2. After enough failures in a row it becomes unreachable, but only if most other nodes answered during that time. If
   most nodes fail together, our own network has failed, and no node is declared unreachable.
3. Once the other nodes answer again, only a poll that began after that counts against a node. Its earlier failures may
   have been our network's.
4. After enough passes in a row it becomes online.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from balancer.core.nodes import Observation, ObservedState


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    fail: int  #: failed polls in a row until a node is unreachable
    passes: int  #: good polls in a row until it is online again


@dataclass(frozen=True, kw_only=True)
class Health:
    """One node's state as the poller carries it from poll to poll. Times are PostgreSQL's."""

    state: ObservedState
    reason: str  #: "" while online
    since: datetime  #: when the state was entered; a new reason alone does not change it
    failures: int = 0  #: in a row
    passes: int = 0  #: in a row
    failed_at: datetime | None = None  #: end of the first of the failures in a row
    failing_poll: datetime | None = None  #: start of the last of them
    passing_since: datetime | None = None  #: end of the first of the good polls in a row; None while it fails
    passed_at: datetime | None = None  #: start of the last of them

    @classmethod
    def remembered(cls, observation: Observation) -> "Health":
        """The health that a new poller starts with, from a node's stored observation."""
        bad = observation.state is not ObservedState.ONLINE
        return cls(
            state=observation.state,
            reason=observation.reason,
            since=observation.since,
            failures=1 if bad else 0,
            failed_at=observation.since if bad else None,
        )

    def differs(self, other: "Health | None") -> bool:
        """Whether the change from ``other`` has to be stored and logged."""
        return other is None or (self.state, self.reason) != (other.state, other.reason)


def after_pass(before: Health | None, *, started: datetime, ended: datetime, thresholds: Thresholds) -> Health:
    """The health after a good poll. A node that was never polled before is online at once."""
    if before is None:
        return Health(
            state=ObservedState.ONLINE, reason="", since=ended, passes=1, passing_since=ended, passed_at=started
        )
    counted = replace(
        before,
        failures=0,
        failed_at=None,
        failing_poll=None,
        passes=before.passes + 1,
        passing_since=before.passing_since or ended,
        passed_at=started,
    )
    if before.state is ObservedState.ONLINE or counted.passes < thresholds.passes:
        return counted
    return replace(counted, state=ObservedState.ONLINE, reason="", since=ended)


def after_failure(
    before: Health | None,
    reason: str,
    *,
    started: datetime,
    ended: datetime,
    thresholds: Thresholds,
    others: Iterable[Health],
) -> Health:
    """The health after a failed poll; others: the current health of every other node."""
    failures = 1 if before is None else before.failures + 1
    failed_at = before.failed_at if before and before.failed_at else ended
    unreachable = before is not None and before.state is ObservedState.UNREACHABLE
    unreachable = unreachable or (failures >= thresholds.fail and not fault_is_ours(failed_at, started, others))
    state = ObservedState.UNREACHABLE if unreachable else ObservedState.SUSPECT
    return Health(
        state=state,
        reason=reason,
        since=before.since if before and before.state is state else ended,
        failures=failures,
        failed_at=failed_at,
        failing_poll=started,
    )


def reconsidered(health: Health, *, now: datetime, thresholds: Thresholds, others: Iterable[Health]) -> Health:
    """The health of a failing node after another node has answered, which may show that the fault is its own."""
    if not held_back(health, thresholds) or health.failed_at is None or health.failing_poll is None:
        return health
    if fault_is_ours(health.failed_at, health.failing_poll, others):
        return health
    return replace(health, state=ObservedState.UNREACHABLE, since=now)


def held_back(health: Health, thresholds: Thresholds) -> bool:
    """Whether a node would be unreachable if the fault were not considered our network's."""
    return health.state is ObservedState.SUSPECT and health.failures >= thresholds.fail


def fault_is_ours(failed_at: datetime, started: datetime, others: Iterable[Health]) -> bool:
    """Whether fewer than half of the nodes that count answered while this one failed.

    failed_at: end of the first of its failures; started: start of its last poll. Another node counts as answering only
    if it was already answering when that poll began, and has answered since ``failed_at``. Otherwise our own network
    may have recovered during the poll. The failing node counts as well. Unreachable nodes do not count, because they
    show nothing about our network. If no other node counts, the fault is considered the node's own.
    """
    counting = [other for other in others if other.state is not ObservedState.UNREACHABLE]
    answered = sum(1 for other in counting if _answered(other, failed_at, started))
    return bool(counting) and answered * 2 < len(counting) + 1


def _answered(other: Health, failed_at: datetime, started: datetime) -> bool:
    if other.passing_since is None or other.passed_at is None:
        return False
    return other.passing_since <= started and other.passed_at > failed_at
