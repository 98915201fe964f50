"""``balancer settings``: the values in force, and their sources."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from balancer import settings as definitions
from balancer.cli.output import format_option, show, table
from balancer.cli.session import Session

HIDDEN = "(secret)"


@click.group()
def settings() -> None:
    """The settings in force."""


@settings.command(name="show")
@format_option
@click.pass_obj
def show_settings(session: Session, form: str) -> None:
    """List every setting with its value and source. Values of secrets are never shown."""
    entries = [_entry(session.settings, field) for field in definitions.fields()]
    head = ("NAME", "VALUE", "FROM")
    rows = [(entry["name"], _words(entry["value"]), entry["source"]) for entry in entries]
    show(form, {"settings": entries}, table(head, rows, ""))


def _entry(values: definitions.Settings, field: "dataclasses.Field[Any]") -> dict[str, Any]:
    value = HIDDEN if field.metadata["secret"] else getattr(values, field.name)
    return {
        "name": definitions.PREFIX + field.name.upper(),
        "value": str(value) if isinstance(value, Path) else value,
        "source": values.sources[field.name],
    }


def _words(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value
