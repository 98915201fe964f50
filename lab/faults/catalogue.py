"""Reads and checks lab/faults.yml."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from lab.errors import LabError

FAULTS_FILE = Path(__file__).parent.parent / "faults.yml"


@dataclass(frozen=True)
class Fault:
    """One fault: what is wrong (`says`), and what the acceptance suite must report.

    `fails` is the one scenario that must fail, with every text of `names` in its message; scenarios that match
    `blocked` (shell patterns) may stay unproved; `run` is the part of the suite to run. Scenarios are named as in the
    report.
    """

    name: str
    says: str
    fails: str
    names: tuple[str, ...]
    run: tuple[str, ...]
    blocked: tuple[str, ...] = ()


def load(path: Path = FAULTS_FILE) -> dict[str, Fault]:
    """All faults by name; raises LabError naming the entry and the key that is wrong."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    faults = {}
    for name, entry in content["faults"].items():
        unknown = set(entry) - {field.name for field in fields(Fault)}
        if unknown:
            raise LabError(f"{path.name}: {name}: unknown key {', '.join(sorted(unknown))}")
        try:
            faults[name] = Fault(
                name=name,
                says=entry["says"],
                fails=entry["fails"],
                names=tuple(entry["names"]),
                run=tuple(entry["run"]),
                blocked=tuple(entry.get("blocked", ())),
            )
        except KeyError as error:
            raise LabError(f"{path.name}: {name}: missing key {error}") from error
    return faults
