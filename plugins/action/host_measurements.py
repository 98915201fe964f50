"""Runs the module of the same name and adds the offset of the host's clock from the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module between two readings of the controller's clock."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result with ``clock_offset`` and ``clock_uncertainty`` in seconds."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        before = time.time()
        result |= self._execute_module(task_vars=task_vars)
        after = time.time()
        if "time" in result:
            result["clock_offset"], result["clock_uncertainty"] = offset(before, result["time"], after)
        return result


def offset(before: float, remote: float, after: float) -> tuple[float, float]:
    """Seconds that the remote clock is ahead, and the uncertainty: it was read at some time between the other two."""
    return remote - (before + after) / 2, (after - before) / 2
