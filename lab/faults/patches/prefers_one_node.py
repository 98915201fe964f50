"""Placement always chooses the first node that may take a meeting, whatever its load."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hook import after_import


@after_import("balancer.core.selection")
def rank_by_id(module: ModuleType) -> None:
    def rank(each: Any) -> tuple[bool, bool, int]:
        return bool(each.refusal), bool(each.avoided), each.node.id

    module._rank = rank  # type: ignore[attr-defined]
