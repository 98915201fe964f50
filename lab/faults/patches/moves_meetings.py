"""A repeated create places the meeting on another node, although it still runs on the first."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hook import after_import


@after_import("balancer.core.creation")
def place_again(module: ModuleType) -> None:
    look = module.Creation._look

    def move_and_look(self: Any, attempt: Any) -> Any:
        placement = self.store._live(attempt.wanted.tenant_id, attempt.wanted.meeting_id)
        if placement is not None and placement.node is not None and placement.state.value == "running":
            attempt.refused.add(placement.node.id)
            self.store.finish(placement, module.State.ENDED, "moved")
        return look(self, attempt)

    module.Creation._look = move_and_look
