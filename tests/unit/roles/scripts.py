"""Loads the programs that the roles install on hosts; they are not modules of a package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).parents[3]
NODE_FILES = PROJECT / "roles/bbb_node/files"
# Each program imports what is installed beside it.
sys.path.append(str(NODE_FILES))


def load(path: Path) -> ModuleType:
    """Execute a program as a new module and return it."""
    specification = importlib.util.spec_from_file_location(f"installed_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # dataclasses and typing find a module by its name.
    sys.modules[module.__name__] = module
    specification.loader.exec_module(module)
    return module
