"""From polls to a node's state: thresholds down and up, and the case where the fault is ours.

A node is suspect at its first failed poll, and takes no new meetings while another is known to be well. It is
unreachable only after enough failures in a row, and only if most of its sisters answered meanwhile: where most nodes
fail together, it is our own network that failed, and nobody is declared lost. Once they are back, only a poll that
began after that counts against a node: of its failures before, nobody can tell whose they were.
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
    since: datetime  #: when the state was entered; a change of reason alone leaves it
    failures: int = 0  #: in a row
    passes: int = 0  #: in a row
    failed_at: datetime | None = None  #: end of the first of the failures in a row
    failing_poll: datetime | None = None  #: start of the last of them
    passing_since: datetime | None = None  #: end of the first of the good polls in a row; None while it fails
    passed_at: datetime | None = None  #: start of the last of them

    @classmethod
    def remembered(cls, observation: Observation) -> "Health":
        """Where a poller begins that finds a node's stored observation."""
        bad = observation.state is not ObservedState.ONLINE
        return cls(
            state=observation.state,
            reason=observation.reason,
            since=observation.since,
            failures=1 if bad else 0,
            failed_at=observation.since if bad else None,
        )

    def differs(self, other: "Health | None") -> bool:
        """Whether coming from ``other`` is worth storing and logging."""
        return other is None or (self.state, self.reason) != (other.state, other.reason)


def after_pass(before: Health | None, *, started: datetime, ended: datetime, thresholds: Thresholds) -> Health:
    """The health after a good poll. A node seen for the first time is online at once."""
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
    sisters: Iterable[Health],
) -> Health:
    """The health after a failed poll; sisters: every other node's health as it is now."""
    failures = 1 if before is None else before.failures + 1
    failed_at = before.failed_at if before and before.failed_at else ended
    lost = before is not None and before.state is ObservedState.UNREACHABLE
    lost = lost or (failures >= thresholds.fail and not fault_is_ours(failed_at, started, sisters))
    state = ObservedState.UNREACHABLE if lost else ObservedState.SUSPECT
    return Health(
        state=state,
        reason=reason,
        since=before.since if before and before.state is state else ended,
        failures=failures,
        failed_at=failed_at,
        failing_poll=started,
    )


def reconsidered(health: Health, *, now: datetime, thresholds: Thresholds, sisters: Iterable[Health]) -> Health:
    """The health of a failing node once a sister has answered: what was held back as our own fault may be its own."""
    if not held_back(health, thresholds) or health.failed_at is None or health.failing_poll is None:
        return health
    if fault_is_ours(health.failed_at, health.failing_poll, sisters):
        return health
    return replace(health, state=ObservedState.UNREACHABLE, since=now)


def held_back(health: Health, thresholds: Thresholds) -> bool:
    """Whether it would be unreachable, were the fault not taken as ours."""
    return health.state is ObservedState.SUSPECT and health.failures >= thresholds.fail


def fault_is_ours(failed_at: datetime, started: datetime, sisters: Iterable[Health]) -> bool:
    """Whether fewer than half of the nodes that count answered while this one failed.

    failed_at: end of the first of its failures; started: start of its last poll. A sister answered if it did so since
    then, and had done already when that poll began: else our network may have come back in the middle of it. The
    failing node counts too. Nodes known to be unreachable tell nothing about us and do not count; where no other node
    counts, there is nobody to ask and the failure is taken as the node's.
    """
    counting = [sister for sister in sisters if sister.state is not ObservedState.UNREACHABLE]
    answered = sum(1 for sister in counting if _answered(sister, failed_at, started))
    return bool(counting) and answered * 2 < len(counting) + 1


def _answered(sister: Health, failed_at: datetime, started: datetime) -> bool:
    if sister.passing_since is None or sister.passed_at is None:
        return False
    return sister.passing_since <= started and sister.passed_at > failed_at
