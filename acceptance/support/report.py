"""acceptance.html and the head that it shares with junit.xml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

import jinja2

from acceptance.support.outcomes import Outcome, Result

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Head:
    """What a change needs on record, as pairs of words for people; the keys are junit's property names."""

    lines: tuple[tuple[str, str], ...]

    def properties(self) -> Iterable[tuple[str, str]]:
        """Name and value of each line, names in junit's manner."""
        return ((name.lower().replace(" ", "_"), value) for name, value in self.lines)


@dataclass(frozen=True)
class Group:
    """The results of one feature or of one kind of host."""

    title: str
    results: tuple[Result, ...]


def verdict(results: Sequence[Result]) -> str:
    """The run in one sentence."""
    if not results:
        return "Nothing was looked at."
    spoiling = [result for result in results if result.spoils]
    if not spoiling:
        return "Accepted."
    counts = [
        f"{count} {outcome}" for outcome in Outcome if (count := sum(result.outcome is outcome for result in spoiling))
    ]
    return f"Not accepted: {', '.join(counts)}."


def write(directory: Path, head: Head, results: Sequence[Result], remarks: Sequence[str]) -> Path:
    """Writes acceptance.html, one file that needs nothing else, and results.json, the same for machines."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page.filters["seconds"] = _seconds
    groups = [Group(title, tuple(members)) for title, members in groupby(results, key=lambda result: result.group)]
    text = page.get_template(TEMPLATE).render(
        verdict=verdict(results),
        accepted=bool(results) and not any(result.spoils for result in results),
        head=head.lines,
        groups=groups,
        troubles=[result for result in results if result.outcome is not Outcome.PASSED],
        remarks=remarks,
        total=sum(result.seconds for result in results),
        written=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(_plain(head, results), indent=2) + "\n", encoding="utf-8")
    path = directory / "acceptance.html"
    path.write_text(text, encoding="utf-8")
    return path


def _plain(head: Head, results: Sequence[Result]) -> dict[str, object]:
    return {
        "version": 1,
        "head": dict(head.properties()),
        "verdict": verdict(results),
        "results": [
            {
                "name": one.name,
                "title": one.title,
                "outcome": one.outcome,
                "message": one.message,
                "seconds": one.seconds,
            }
            for one in results
        ],
    }


def _seconds(value: float) -> str:
    if value >= 60:
        return f"{int(value // 60)} min {value % 60:.0f} s"
    return f"{value:.1f} s"
