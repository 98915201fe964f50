"""The command of one question: options, printing and exit status."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.figures import Figure, table, write_baseline


def run(question: str, measure: Callable[..., Iterable[Figure]], *options: Callable[[Any], Any]) -> None:
    """The command of a question: measure, print, and fail if a figure is beyond its limit.

    `options` are click's; `measure` gets their values by name.
    """

    @click.command(help=f"Measure: {question}.")
    @click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON here.")
    @click.option("--write-baseline", "store", is_flag=True, help="Store the figures as the baseline.")
    def measured(as_json: Path | None, store: bool, **values: Any) -> None:
        figures = list(measure(**values))
        click.echo(table(question, figures))
        if as_json:
            as_json.write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n")
        if store:
            write_baseline(question, figures)
        if not all(each.within_limit for each in figures):
            raise SystemExit(1)

    for option in options:
        option(measured)
    measured()
