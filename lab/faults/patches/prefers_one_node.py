"""Placement always takes the first node that may have a meeting, whatever its load."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .hook import after_import


@after_import("balancer.core.selection")
def forget_the_load(module: ModuleType) -> None:
    judge = module.candidates

    def candidates(*arguments: Any, **named: Any) -> list[Any]:
        return sorted(judge(*arguments, **named), key=lambda each: (bool(each.refusal), each.node.id))

    module.candidates = candidates  # type: ignore[attr-defined]
