"""A share that hangs: whoever touches it waits, as with a storage host that is gone and a hard mount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from lab import network, processes, ssh
from lab.command import wait_until
from lab.errors import LabError
from lab.state import Host, Lab

#: Mounts a file system over the share whose server never says a word, and holds it. The device is opened on the
#: machine, since a host has none; only then is the host's mount namespace entered.
HOLD = """
import ctypes, os, signal, sys
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
if libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0):
    sys.exit(os.strerror(ctypes.get_errno()))
options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"hanging", sys.argv[2].encode(), b"fuse", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
open(sys.argv[3], "w").close()
signal.pause()
"""
HELD = "/run/bbb-fleet-share-hangs"
#: How the files are called that keep the holders' process ids.
NOTE = ".hanging"


def hang(lab: Lab, host: Host, share: str) -> None:
    """Makes the share of one host hang. A User Mode Linux host loses its way to the storage host instead."""
    if host.machine != "nspawn":
        for storage in lab.in_group("storage"):
            network.cut(lab, host, storage)
        return
    command = [sys.executable, "-c", HOLD, str(_init(lab, host)), share, HELD]
    # Its own streams: whoever waits for the end of ours must not wait for it.
    with Path(os.devnull).open("r+b") as quiet:
        holder = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    _note(lab, host).write_text(str(holder.pid))
    wait_until(lambda: _held(lab, host, holder), what=f"the share of {host.name} hangs", within=20)


def free(lab: Lab, host: Host, share: str) -> None:
    """Lets the share of one host answer again."""
    if host.machine != "nspawn":
        network.heal(lab)
        return
    let_go(lab.directory, host.name)
    # Services have namespaces of their own, which may still hold what hung.
    ssh.run_on(lab, host, f"rm -f {HELD}; ! grep -q ' {share} fuse' /proc/mounts || umount -l {share}")
    ssh.run_on(lab, host, "systemctl restart balancer-importer nginx-recordings")


def let_go(directory: Path, host_name: str = "*") -> None:
    """End what holds the shares of a lab's hosts, or of one host: it lives outside of them and would outlive them."""
    for note in directory.glob(f"{host_name}{NOTE}"):
        _end(int(note.read_text()))
        note.unlink()


def _init(lab: Lab, host: Host) -> int:
    found = processes.inits(lab.host_directory(host))
    if not found:
        raise LabError(f"{host.name} does not run")
    return found[0]


def _held(lab: Lab, host: Host, holder: subprocess.Popen[bytes]) -> bool:
    if holder.poll() is not None:
        raise LabError(f"{host.name}: the hanging share could not be mounted")
    return "held" in ssh.run_on(lab, host, f"test ! -e {HELD} || echo held")


def _end(pid: int) -> None:
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists() and HELD.encode() in command.read_bytes():
        os.kill(pid, signal.SIGKILL)


def _note(lab: Lab, host: Host) -> Path:
    return lab.directory / f"{host.name}{NOTE}"
