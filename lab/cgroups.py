"""A control group for each host, if no init system on the machine provides one.

Otherwise the `ssh.service` of all hosts would be one group, and a host that stops the service would stop it on the
other hosts. Under systemd this module does nothing, because systemd-nspawn asks systemd for a scope.
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
    """Return what a child process calls before it becomes host `name`: it creates the host's groups and joins them."""
    groups = [hierarchy / PARENT / name for hierarchy in _hierarchies()] if needed() else []

    def join() -> None:
        for group in groups:
            group.mkdir(parents=True, exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return join


def remove(name: str) -> None:
    """Remove the groups of a host that has ended, and their common parent if it is empty then."""
    for hierarchy in _hierarchies():
        group = hierarchy / PARENT / name
        if group.is_dir():
            wait_until(partial(_removed, group), what=f"control group {group} empties", within=10)
        if group.parent.is_dir() and not any(entry.is_dir() for entry in group.parent.iterdir()):
            group.parent.rmdir()


def _removed(group: Path) -> bool:
    """Remove a group and its descendants, deepest first; false while a process is still exiting."""
    for path, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


def _hierarchies() -> list[Path]:
    """The hierarchies in which a host's systemd keeps its units: its own named one and the unified one."""
    candidates = [ROOT, ROOT / "systemd", ROOT / "unified"]
    return [path for path in candidates if (path / "cgroup.procs").exists()]
