"""Finding the processes of a lab by what they run from, and ending them by their ids.

Nothing is remembered: a process belongs to a host if one of its arguments names a path in the host's
directory, so a lab whose `up` was killed half-way is found as well as a whole one.
"""

import os
import signal
from pathlib import Path

from lab.command import wait_until

RUNNERS = frozenset({"systemd-nspawn", "linux.uml"})


def running_from(directory: Path) -> list[int]:
    """Ids of the processes that run a host from this directory, oldest first."""
    found = [pid for pid in _all() if _runs_from(_arguments(pid), str(directory))]
    return sorted(found)


def end(pid: int, how: signal.Signals, within: float = 30.0) -> None:
    """Send a signal and wait until the process is gone, reaping it where it is ours."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    wait_until(lambda: not alive(pid), what=f"process {pid} ends", within=within, every=0.05)


def alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass  # Started by an earlier command: init reaps it.
    return bool(_arguments(pid))


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _arguments(pid: int) -> list[str]:
    """A process's command line; empty for one that is gone, a zombie or a kernel thread."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _runs_from(arguments: list[str], directory: str) -> bool:
    if not arguments or Path(arguments[0]).name not in RUNNERS:
        return False
    return any(f"={directory}/" in argument for argument in arguments[1:])
