"""Writes acceptance.html for people and results.json for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

import jinja2

from acceptance.support.outcomes import Outcome, Result
from acceptance.support.report_head import Head

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Group:
    """The results of one feature or of one inventory group."""

    title: str
    results: tuple[Result, ...]


def verdict(results: Sequence[Result]) -> str:
    """The run in one sentence."""
    if not results:
        return "Nothing was run."
    unaccepted = [result for result in results if result.prevents_acceptance]
    if not unaccepted:
        return "Accepted."
    counts = Counter(result.outcome for result in unaccepted)
    return f"Not accepted: {', '.join(f'{counts[outcome]} {outcome}' for outcome in Outcome if counts[outcome])}."


def write(directory: Path, head: Head, results: Sequence[Result], remarks: Sequence[str]) -> Path:
    """Writes acceptance.html, which needs no other file, and results.json; returns the path of the page."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page.filters["seconds"] = _seconds
    groups = [Group(title, tuple(members)) for title, members in groupby(results, key=lambda result: result.group)]
    text = page.get_template(TEMPLATE).render(
        verdict=verdict(results),
        accepted=bool(results) and not any(result.prevents_acceptance for result in results),
        head=head.lines,
        groups=groups,
        problems=[result for result in results if result.outcome is not Outcome.PASSED],
        remarks=remarks,
        total=sum(result.seconds for result in results),
        written=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(_as_json(head, results), indent=2) + "\n", encoding="utf-8")
    path = directory / "acceptance.html"
    path.write_text(text, encoding="utf-8")
    return path


def _as_json(head: Head, results: Sequence[Result]) -> dict[str, object]:
    return {
        "version": 1,
        "head": dict(head.properties()),
        "verdict": verdict(results),
        "results": [
            {
                "name": result.name,
                "title": result.title,
                "outcome": result.outcome,
                "message": result.message,
                "seconds": result.seconds,
            }
            for result in results
        ],
    }


def _seconds(value: float) -> str:
    if value >= 60:
        return f"{int(value // 60)} min {value % 60:.0f} s"
    return f"{value:.1f} s"
