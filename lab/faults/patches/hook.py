"""Runs on a balancer host, inside its installed release: changes a module of the balancer right after its import."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Patch = Callable[[ModuleType], None]


class _After(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, patch: Patch) -> None:
        self._name, self._patch = name, patch

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._wrap(spec.loader)
        return spec

    def _wrap(self, loader: importlib.abc.Loader) -> None:
        load = loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            self._patch(module)

        # An instance of its own for each module, so nothing else is loaded by it.
        loader.exec_module = load_and_patch  # type: ignore[method-assign]


def after_import(name: str) -> Callable[[Patch], Patch]:
    """Applies a patch to the module of that name as soon as it is imported."""

    def register(patch: Patch) -> Patch:
        sys.meta_path.insert(0, _After(name, patch))
        return patch

    return register


def place_with(*changes: tuple[str, str]) -> None:
    """Has meetings placed by a changed copy of function choose_node, which only this process's connections know."""
    values = [each for change in changes for each in change]

    @after_import("balancer.storage.postgresql.placement")
    def replace_function(module: ModuleType) -> None:
        decide = module.decide
        query = module._SQL["place"].replace("choose_node(", "pg_temp.choose_node(")
        module._SQL = {**module._SQL, "place": query}  # type: ignore[attr-defined]

        def decide_otherwise(connection: Any, *arguments: Any, **named: Any) -> Any:
            text = "replace(pg_get_functiondef('choose_node'::regproc), 'public.choose_node', 'pg_temp.choose_node')"
            for _ in changes:
                text = f"replace({text}, %s, %s)"
            connection.execute(connection.execute(f"SELECT {text} AS copy", values).fetchone()["copy"])
            return decide(connection, *arguments, **named)

        module.decide = decide_otherwise  # type: ignore[attr-defined]
