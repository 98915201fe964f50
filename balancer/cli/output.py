"""Output as text for people, or as JSON for machines."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

#: The first key of all JSON output. It is raised if a change of shape could break a reader.
FORMAT_VERSION = 1

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """``--format text|json``, which the command gets as ``form``."""
    return click.option(
        "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print."
    )(command)


def show(form: str, content: dict[str, Any], text: Iterable[str]) -> None:
    """Print the content as JSON, or else the lines of text."""
    if form == "json":
        click.echo(json.dumps({"version": FORMAT_VERSION, **content}, default=_plain, indent=2, ensure_ascii=False))
        return
    for line in text:
        click.echo(line)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> list[str]:
    """The lines of a table with aligned columns, or only ``empty`` if there are no rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return [empty]
    widths = [max(len(row[column]) for row in (head, *cells)) for column in range(len(head))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *cells)
    ]


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON form")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def printable(text: str) -> str:
    """The text on one line: names that front ends and nodes chose must not control the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
