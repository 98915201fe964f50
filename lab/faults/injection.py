"""Puts faults in and takes them out again; what is broken stands in the lab's state directory."""

from __future__ import annotations

import json
from pathlib import Path

from lab import state
from lab.errors import LabError
from lab.faults import catalogue
from lab.faults.actions import ACTIONS
from lab.state import Lab


def inject(lab: Lab, name: str) -> None:
    """Breaks the lab in one way; LabError if the name is unknown or the lab is broken in that way already."""
    known = catalogue.load()
    if name not in known:
        raise LabError(f"no fault is called {name!r}; there are {', '.join(known)}")
    if name in (present := broken(lab)):
        raise LabError(f"{name} is in the lab already; take it out: python -m lab mend")
    # Noted first: a fault that fails half-way is taken out like a whole one.
    _note(lab, [*present, name])
    ACTIONS[name].inject(lab)


def mend(lab: Lab) -> list[str]:
    """Takes every fault out again, the last one first, and returns their names."""
    present = broken(lab)
    for name in reversed(present):
        ACTIONS[name].mend(lab)
        _note(lab, [other for other in broken(lab) if other != name])
    return present


def broken(lab: Lab) -> list[str]:
    """Names of the faults that are in the lab, in the order they were put in."""
    path = _notes(lab)
    return list(json.loads(path.read_text())) if path.exists() else []


def _notes(lab: Lab) -> Path:
    return lab.directory / "broken.json"


def _note(lab: Lab, names: list[str]) -> None:
    if names:
        state.write_atomically(_notes(lab), json.dumps(names) + "\n")
    else:
        _notes(lab).unlink(missing_ok=True)
