"""Queries are in .sql files beside this module. ``-- name: words_in_snake_case`` starts each; none ends with ``;``."""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(noun: str) -> dict[str, LiteralString]:
    """The queries of ``NOUN.sql`` by name. Raises FileNotFoundError, or ValueError if a name is used twice."""
    text = (files("balancer.storage.postgresql") / f"{noun}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"two queries of {noun}.sql have the same name")
    # The text is part of the package: it never holds input.
    return {name: cast(LiteralString, body.strip()) for name, body in zip(names, bodies, strict=True)}
