"""The web processes take a disabled node for an enabled one, as with a stale cache. The command line does not."""

from __future__ import annotations

import sys
from types import ModuleType

from .hook import after_import


def _believing(query: str) -> str:
    """The query, with every check of the admin state passed."""
    query = query.replace("admin_state = 'enabled'", "true")
    return query.replace("SELECT admin_state FROM nodes", "SELECT 'enabled'::text AS admin_state FROM nodes")


if "gunicorn" in sys.argv[0]:

    @after_import("balancer.core.nodes")
    def read_disabled_as_enabled(module: ModuleType) -> None:
        module.AdminState._value2member_map_["disabled"] = module.AdminState.ENABLED

    @after_import("balancer.storage.postgresql.sql")
    def place_anyway(module: ModuleType) -> None:
        read = module.queries

        def queries(noun: str) -> dict[str, str]:
            return {name: _believing(text) for name, text in read(noun).items()}

        module.queries = queries  # type: ignore[attr-defined]
