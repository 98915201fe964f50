"""Loads what the roles install on hosts: those files are programs, not modules of a package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).parents[3]
NODE_FILES = PROJECT / "roles/bbb_node/files"


def load(path: Path) -> ModuleType:
    """A fresh copy of a program as a module."""
    specification = importlib.util.spec_from_file_location(f"installed_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # dataclasses and typing look a module up by its name.
    sys.modules[module.__name__] = module
    specification.loader.exec_module(module)
    return module
