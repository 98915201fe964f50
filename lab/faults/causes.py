"""Each fault's two verbs: put it in, take it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.state import Lab


@dataclass(frozen=True)
class Cause:
    """How one fault is put into a lab and taken out again; `mend` also takes out a half-made one."""

    inject: Callable[[Lab], None]
    mend: Callable[[Lab], None]


CAUSES: dict[str, Cause] = {}
