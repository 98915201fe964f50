"""Options that describe a node. A secret is never an argument, because every user of the host could read it."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from balancer.core.node_tags import UNTAGGED
from balancer.core.nodes import Limits, NodeRefusedError, checked_secret

Command = TypeVar("Command", bound=Callable[..., Any])

_LIMIT = click.IntRange(min=0, max=1_000_000)
_LIMITS = [
    click.option(f"--{kind}-{what}", type=_LIMIT, help=f"Number of {words} at which the node {effect}; 0 is no limit.")
    for what, words in (("meetings", "meetings"), ("users", "users, including expected ones,"))
    for kind, effect in (
        ("soft", "is avoided while others are below theirs"),
        ("hard", "gets no new meetings"),
    )
]
_TAG_CHARACTERS = "letters, digits, '.', '_' and '-'"


def secret_options(command: Command) -> Command:
    """``--secret-stdin`` and ``--secret-file PATH``."""
    from_file = click.option(
        "--secret-file",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        help="File that contains only the node's secret.",
    )
    return click.option("--secret-stdin", is_flag=True, help="Read the node's secret from standard input.")(
        from_file(command)
    )


def declared_options(command: Command) -> Command:
    """``--weight``, ``--tag`` and the limits."""
    weight = click.FloatRange(min=0.001, max=1000)
    tag = click.option(
        "--tag",
        "tags",
        multiple=True,
        callback=_checked_tags,
        help=f"Tag that front ends may ask for; repeatable. {UNTAGGED}: no tags.",
    )
    weigh = click.option(
        "--weight",
        type=weight,
        callback=_checked_weight,
        help="Capacity relative to other nodes: 2 takes twice the users of 1.",
    )
    for option in reversed(_LIMITS):
        command = option(command)
    return weigh(tag(command))


def _checked_weight(_context: click.Context, _option: click.Parameter, weight: float | None) -> float | None:
    # A range check lets NaN pass.
    if weight is not None and math.isnan(weight):
        raise click.BadParameter("it must be a number")
    return weight


def declared_limits(given: Mapping[str, Any], before: Limits) -> Limits:
    """The given limits; a limit that was not given stays as it was before. Raises NodeRefusedError."""
    values = {
        field.name: getattr(before, field.name) if given[field.name] is None else given[field.name] or None
        for field in fields(Limits)
    }
    for what in ("meetings", "users"):
        soft, hard = values[f"soft_{what}"], values[f"hard_{what}"]
        if soft and hard and soft > hard:
            raise NodeRefusedError(f"the soft limit of {soft} {what} is above the hard one of {hard}")
    return Limits(**values)


def read_secret(given: Mapping[str, Any]) -> str:
    """The secret from standard input or the given file. Raises NodeRefusedError."""
    if bool(given["secret_stdin"]) == bool(given["secret_file"]):
        raise NodeRefusedError("give the node's secret with --secret-stdin or with --secret-file PATH")
    if given["secret_file"]:
        try:
            return checked_secret(given["secret_file"].read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise NodeRefusedError(f"{given['secret_file']} does not hold a secret: it is not text") from None
    return checked_secret(sys.stdin.read())


def _checked_tags(_context: click.Context, _option: click.Parameter, tags: tuple[str, ...]) -> tuple[str, ...] | None:
    """The tags without duplicates; None if none was given."""
    if tags == (UNTAGGED,):
        return ()
    for tag in tags:
        if not tag or not all(character.isalnum() or character in "._-" for character in tag) or not tag.isascii():
            raise click.BadParameter(f"{tag!r} is not a tag: use {_TAG_CHARACTERS}")
        if tag == UNTAGGED:
            raise click.BadParameter(f"{tag!r} means a node without tags: do not combine it with tags")
    return tuple(dict.fromkeys(tags)) or None
