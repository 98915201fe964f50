"""Finds the processes of a lab's host by the directory that they run from, and signals them by id.

No process ids are stored: a process belongs to a host if it was started from the host's directory, or if the host's
file system is its root. So the processes of a lab whose `up` was killed are found too.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lab.command import wait_until

RUNNERS = frozenset({"systemd-nspawn", "uml_rebooted.sh"})
KEEPER = Path(__file__).with_name("keep_running.sh")


def runners(directory: Path) -> list[int]:
    """Ids of the programs (nspawn, User Mode Linux) that run a host, started from its directory, oldest first."""
    return sorted(pid for pid in _all() if _started_from(_arguments(pid), str(directory)))


def inits(directory: Path) -> list[int]:
    """Ids of an nspawn host's init processes; when an init ends, the kernel ends the host's other processes."""
    return [pid for pid in _all() if _is_first_in_its_namespace(pid) and _root_lies_in(pid, str(directory))]


def keepers(directory: Path) -> list[int]:
    """Ids of the scripts that restart a runner when its host reboots; a script ends with its runner otherwise."""
    return [pid for pid in _all() if str(KEEPER) in (words := _arguments(pid)) and _names(words, str(directory))]


def rooted(directory: Path) -> list[int]:
    """Ids of processes whose root is at or below the directory, in a file system that was not booted."""
    return [pid for pid in _all() if f"{_root(pid)}/".startswith(f"{directory}/")]


def kept(command: list[str], *, name: str, environment: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The command line that runs `command` as `name`, and again if its status is 133, which means a reboot."""
    settings = [f"{variable}={value}" for variable, value in environment.items()]
    return ["/bin/bash", str(KEEPER), name, *settings, *command]


def everything(directory: Path) -> list[int]:
    return [*keepers(directory), *runners(directory), *inits(directory)]


def signal_all(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue


def await_end(directory: Path, within: float) -> None:
    """Return when nothing runs from the directory any longer; raises LabError after `within` seconds."""
    wait_until(lambda: not everything(directory), what=f"{directory.name} ends", within=within)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> str:
    """The text of a process's file in /proc; empty if the process is gone or a zombie."""
    try:
        return (Path("/proc") / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""


def _root(pid: int) -> str:
    """A process's root directory; empty if the process is gone or a zombie."""
    try:
        return (Path("/proc") / str(pid) / "root").readlink().as_posix()
    except OSError:
        return ""


def _arguments(pid: int) -> list[str]:
    """A process's command line; empty for a zombie or a kernel thread."""
    return _read(pid, "cmdline").split("\0")[:-1]


def _started_from(arguments: list[str], directory: str) -> bool:
    if not arguments or Path(arguments[0]).name not in RUNNERS:
        return False
    return _names(arguments, directory)


def _names(arguments: list[str], directory: str) -> bool:
    return any(f"={directory}/" in argument for argument in arguments[1:])


def _is_first_in_its_namespace(pid: int) -> bool:
    ids = [line.split()[1:] for line in _read(pid, "status").splitlines() if line.startswith("NSpid:")]
    return bool(ids) and len(ids[0]) > 1 and ids[0][-1] == "1"


def _root_lies_in(pid: int, directory: str) -> bool:
    mounts = [line for line in _read(pid, "mountinfo").splitlines() if line.split()[4] == "/"]
    return any(f"upperdir={directory}{end}" in line for line in mounts for end in ("/", ","))
