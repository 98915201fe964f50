"""Injects and removes faults; the list of injected faults is in the lab's state directory."""

from __future__ import annotations

import json
from pathlib import Path

from lab import state
from lab.errors import LabError
from lab.faults import catalogue
from lab.faults.actions import ACTIONS
from lab.state import Lab


def inject(lab: Lab, name: str) -> None:
    """Inject one fault; LabError if the name is unknown or the fault is already injected."""
    known = catalogue.load()
    if name not in known:
        raise LabError(f"no fault is called {name!r}; there are {', '.join(known)}")
    if name in (present := broken(lab)):
        raise LabError(f"{name} is already injected; remove it: python -m lab mend")
    # Recorded first, so that a fault whose injection fails half-way is removed too.
    _record(lab, [*present, name])
    ACTIONS[name].inject(lab)


def mend(lab: Lab) -> list[str]:
    """Remove all faults, the last one first, and return their names."""
    present = broken(lab)
    for name in reversed(present):
        ACTIONS[name].mend(lab)
        _record(lab, [other for other in broken(lab) if other != name])
    return present


def broken(lab: Lab) -> list[str]:
    """Names of the injected faults, in the order of their injection."""
    path = _record_file(lab)
    return list(json.loads(path.read_text())) if path.exists() else []


def _record_file(lab: Lab) -> Path:
    return lab.directory / "broken.json"


def _record(lab: Lab, names: list[str]) -> None:
    if names:
        state.write_atomically(_record_file(lab), json.dumps(names) + "\n")
    else:
        _record_file(lab).unlink(missing_ok=True)
