"""Runs the module of the same name and adds how far the host's clock is from the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Times the module's run, so that the host's clock can be compared."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's answer with ``clock_offset`` and ``clock_uncertainty`` in seconds."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        before = time.time()
        result |= self._execute_module(task_vars=task_vars)
        after = time.time()
        if "time" in result:
            result["clock_offset"], result["clock_uncertainty"] = offset(before, result["time"], after)
        return result


def offset(before: float, remote: float, after: float) -> tuple[float, float]:
    """How far a clock is ahead, and by how much that may be wrong: it was read somewhere between the two moments."""
    return remote - (before + after) / 2, (after - before) / 2
