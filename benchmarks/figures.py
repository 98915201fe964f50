"""Measured figures, as a table with limits and the stored baseline, and as JSON."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BASELINE = Path(__file__).parent / "baseline.json"


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    name: str
    value: float
    unit: str
    limit: float | None = None  #: None if there is no limit
    at_least: bool = False  #: the limit is a minimum

    @property
    def within_limit(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def table(question: str, figures: Iterable[Figure]) -> str:
    """Values, limits and baseline side by side; beyond its limit a value is marked MISSED."""
    before = json.loads(BASELINE.read_text()).get(question, {}) if BASELINE.exists() else {}
    lines = [f"{question:44} {'now':>10} {'limit':>10} {'baseline':>10}"]
    for each in figures:
        limit = "" if each.limit is None else f"{'≥' if each.at_least else '≤'} {each.limit:g}"
        stored = f"{before[each.name]:.3g}" if each.name in before else ""
        missed = "" if each.within_limit else "  MISSED"
        lines.append(f"{each.name:44} {each.value:>10.3g} {limit:>10} {stored:>10} {each.unit}{missed}")
    return "\n".join(lines)


def write_baseline(question: str, figures: Iterable[Figure]) -> None:
    """Replace a question's figures in the baseline."""
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    known[question] = {each.name: float(f"{each.value:.4g}") for each in figures}
    BASELINE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
