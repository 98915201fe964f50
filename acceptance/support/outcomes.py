"""The outcomes of a scenario, and when a run as a whole is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from acceptance.support.environment import AcceptedGap


class NotProved(Exception):  # noqa: N818 - an outcome of its own, not an error
    """The scenario could not be judged here: the promise was seen neither kept nor broken. The text says why."""


class Outcome(StrEnum):
    """How a scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_PROVED = "not proved"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Step:
    """One sentence of a scenario, whether it held, and what was observed (texts for people)."""

    sentence: str
    seconds: float
    ok: bool
    observations: tuple[str, ...] = ()


@dataclass
class Result:
    """One scenario or host check of a run. `name` is FEATURE/scenario or infra/GROUP/check."""

    name: str
    group: str
    title: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""
    steps: list[Step] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    accepted: str = ""

    @property
    def prevents_acceptance(self) -> bool:
        """True if the run cannot be accepted because of this result."""
        return self.outcome is not Outcome.PASSED and not self.accepted


def accept_gaps(results: Iterable[Result], gaps: Iterable[AcceptedGap]) -> None:
    """Marks skipped and unproved results that the environment file accepts. A failure is never accepted."""
    gaps = list(gaps)
    for result in results:
        if result.outcome in (Outcome.SKIPPED, Outcome.NOT_PROVED):
            result.accepted = next((gap.reason for gap in gaps if fnmatchcase(result.name, gap.scenario)), "")
