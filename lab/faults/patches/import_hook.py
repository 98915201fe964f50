"""Runs on a balancer host, inside the installed release: changes a module of the balancer right after its import."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

Patch = Callable[[ModuleType], None]


class _PatchFinder(importlib.abc.MetaPathFinder):
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

        # Each module has its own loader instance, so no other module is affected.
        loader.exec_module = load_and_patch  # type: ignore[method-assign]


def after_import(name: str) -> Callable[[Patch], Patch]:
    """Apply a patch to the module of that name as soon as it is imported."""

    def register(patch: Patch) -> Patch:
        sys.meta_path.insert(0, _PatchFinder(name, patch))
        return patch

    return register
