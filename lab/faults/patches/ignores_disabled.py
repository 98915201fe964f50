"""The web processes take a disabled node for an enabled one. The command line does not, as with a stale cache."""

from __future__ import annotations

import sys
from types import ModuleType

from .hook import after_import

if "gunicorn" in sys.argv[0]:

    @after_import("balancer.core.nodes")
    def read_disabled_as_enabled(module: ModuleType) -> None:
        module.AdminState._value2member_map_["disabled"] = module.AdminState.ENABLED

    @after_import("balancer.storage.sql")
    def place_anyway(module: ModuleType) -> None:
        read = module.queries

        def queries(noun: str) -> dict[str, str]:
            return {name: text.replace("admin_state = 'enabled'", "true") for name, text in read(noun).items()}

        module.queries = queries  # type: ignore[attr-defined]
