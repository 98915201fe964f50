"""Starting, stopping and restarting hosts, whatever runs them."""

import shutil
import signal
import subprocess
from pathlib import Path
from types import ModuleType

from lab import cgroups, kernel, nspawn, processes, ssh, uml, uml_probe
from lab.command import wait_until
from lab.errors import LabError
from lab.state import Host, Lab
from lab.topology import Topology

# Seconds from start to an answer over ssh. User Mode Linux is an order of magnitude slower.
BOOT_DEADLINES = {"nspawn": 120.0, "uml": 480.0}
STOP_DEADLINE = 120.0
CLEAR_UP_DEADLINE = 10.0
LAST_LINES = 4


def why_no_nfs() -> str | None:
    """Why no kind of host can have NFS on this machine, to follow "because"; None if one can."""
    if kernel.has_nfs():
        return None
    obstacle = uml_probe.obstacle()
    return obstacle and f"its kernel has no NFS, and {obstacle}"


def prepare(lab: Lab, host: Host, topology: Topology) -> None:
    """Make the host's file system with the host's identity in it; what is there stays."""
    _driver(host).prepare(lab, host, topology)


def start(lab: Lab, host: Host) -> None:
    """Boot a host that is not running; returns at once, `await_boot` waits."""
    if process_of(lab, host) is not None:
        return
    # Not a child of ours: it goes on when this command has ended.
    command = ["setsid", "--fork", *_driver(host).boot_command(lab, host)]
    with (lab.host_directory(host) / "console.log").open("ab") as console:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            check=True,
            preexec_fn=cgroups.joiner(f"{lab.name}-{host.name}"),
        )


def await_boot(lab: Lab, host: Host) -> None:
    """Return when the host has booted and answers over ssh."""

    def up() -> bool:
        if process_of(lab, host) is None:
            raise LabError(f"{host.name} ended while booting. Its last words: {_last_words(lab, host)}")
        return ssh.answers(lab, host)

    wait_until(up, what=f"{host.name} boots", within=BOOT_DEADLINES[host.machine])


def stop(lab: Lab, host: Host) -> None:
    """Shut a host down in order; one that is not running stays as it is."""
    if process_of(lab, host) is None:
        return
    _driver(host).request_shutdown(lab, host)
    processes.await_end(lab.host_directory(host), STOP_DEADLINE)
    _clear_up(lab.name, lab.host_directory(host))


def cut_power(lab: Lab, host: Host) -> None:
    """End a host without any shutdown, as a power cut would."""
    _end_now(lab.name, lab.host_directory(host))


def restart(lab: Lab, host: Host) -> None:
    """Shut down, boot again, wait: address, mounts and services come back by the host's own means."""
    stop(lab, host)
    start(lab, host)
    await_boot(lab, host)


def discard(lab_name: str, directory: Path) -> None:
    """End whatever runs from a host's directory and remove the directory; works for half-made hosts."""
    _end_now(lab_name, directory)
    # Programs that an `up` that was killed had started in the host's file system.
    processes.signal_all(processes.rooted(directory), signal.SIGKILL)
    for driver in (nspawn, uml):
        driver.unmount(directory)
    shutil.rmtree(directory)


def process_of(lab: Lab, host: Host) -> int | None:
    """Process id of what runs the host, or None. A host that reboots is still the same."""
    directory = lab.host_directory(host)
    found = processes.keepers(directory) or processes.runners(directory)
    return found[0] if found else None


def _last_words(lab: Lab, host: Host) -> str:
    """The end of a host's console for an error message, with the path of the whole console."""
    console = lab.host_directory(host) / "console.log"
    lines = console.read_text(errors="replace").splitlines()[-LAST_LINES:] if console.exists() else []
    return f"{' / '.join(lines)} ({console})"


def _driver(host: Host) -> ModuleType:
    return {"nspawn": nspawn, "uml": uml}[host.machine]


def _end_now(lab_name: str, directory: Path) -> None:
    # Kill the host's init, if it has one: its runner then cleans up and ends by itself.
    processes.signal_all(processes.inits(directory) or processes.runners(directory), signal.SIGKILL)
    try:
        processes.await_end(directory, within=CLEAR_UP_DEADLINE)
    except LabError:
        processes.signal_all(processes.everything(directory), signal.SIGKILL)
    processes.await_end(directory, within=CLEAR_UP_DEADLINE)
    _clear_up(lab_name, directory)


def _clear_up(lab_name: str, directory: Path) -> None:
    # Which machine ran it is not asked: half a lab may not know, and each clears up only what it made itself.
    for driver in (nspawn, uml):
        driver.clear_up(lab_name, directory)
