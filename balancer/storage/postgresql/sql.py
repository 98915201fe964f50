"""Queries live in .sql files beside this module: a line ``-- name: words_in_snake_case`` begins each."""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(noun: str) -> dict[str, LiteralString]:
    """The named queries of ``NOUN.sql``. Raises FileNotFoundError, or ValueError where a name stands twice."""
    text = (files("balancer.storage.postgresql") / f"{noun}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a query of {noun}.sql is named twice")
    # The text ships with the package: no input ever reaches it.
    return {name: cast(LiteralString, body.strip()) for name, body in zip(names, bodies, strict=True)}
