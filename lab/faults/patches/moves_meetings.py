"""A repeated create places the meeting on another node, although it still runs on the first."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hook import after_import


@after_import("balancer.core.creation")
def place_again(module: ModuleType) -> None:
    try_once = module.Creation._try_once

    def move_and_try(self: Any, request: Any) -> Any:
        placement = self.store._live(request.wanted.tenant_id, request.wanted.meeting_id)
        if placement is not None and placement.node is not None and placement.state.value == "running":
            request.refused.add(placement.node.id)
            self.store.finish(placement, module.State.ENDED, "moved")
        return try_once(self, request)

    module.Creation._try_once = move_and_try
