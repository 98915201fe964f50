"""A control group for each host where no init system gives it one.

Without, all hosts' `ssh.service` would be one and the same group, and a host that stops its service would
end the others'. Under systemd this module does nothing: systemd-nspawn asks it for a scope.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lab.command import wait_until

ROOT = Path("/sys/fs/cgroup")
PARENT = "bbb-fleet-lab"


def needed() -> bool:
    return not Path("/run/systemd/system").exists()


def joiner(name: str) -> Callable[[], None]:
    """What a child process calls before it becomes the host `name`: it makes the host's groups and enters them."""
    groups = [hierarchy / PARENT / name for hierarchy in _hierarchies()] if needed() else []

    def join() -> None:
        for group in groups:
            group.mkdir(parents=True, exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return join


def remove(name: str) -> None:
    """Remove the groups of a host that has ended, and the common parent with the last of them."""
    for hierarchy in _hierarchies():
        group = hierarchy / PARENT / name
        if group.is_dir():
            wait_until(partial(_removed, group), what=f"control group {group} empties", within=10)
        if group.parent.is_dir() and not any(entry.is_dir() for entry in group.parent.iterdir()):
            group.parent.rmdir()


def _removed(group: Path) -> bool:
    """Remove a group with those below it, deepest first; false while a process is still leaving."""
    for path, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


def _hierarchies() -> list[Path]:
    """Where systemd in a host keeps its units: its own named hierarchy, and the unified one wherever it is mounted."""
    candidates = [ROOT, ROOT / "systemd", ROOT / "unified"]
    return [path for path in candidates if (path / "cgroup.procs").exists()]
