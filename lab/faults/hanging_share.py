"""A share that hangs: every access waits, as on a hard mount whose storage host is down."""

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

#: Mounts a FUSE file system over the share and never answers its requests. /dev/fuse is opened before the host's mount
#: namespace is entered, because a host does not have that device.
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
#: Suffix of the files that store the holders' process ids.
PID_SUFFIX = ".hanging"


def hang(lab: Lab, host: Host, share: str) -> None:
    """Make the share of one host hang. A User Mode Linux host is cut off from the storage host instead."""
    if host.machine != "nspawn":
        for storage in lab.in_group("storage"):
            network.cut(lab, host, storage)
        return
    command = [sys.executable, "-c", HOLD, str(_init(lab, host)), share, HELD]
    # It gets its own streams, so that a caller that reads ours to the end does not wait for it.
    with Path(os.devnull).open("r+b") as quiet:
        holder = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    _pid_file(lab, host).write_text(str(holder.pid))
    wait_until(lambda: _is_held(lab, host, holder), what=f"the share of {host.name} hangs", within=20)


def free(lab: Lab, host: Host, share: str) -> None:
    """Let the share of one host answer again."""
    if host.machine != "nspawn":
        network.heal(lab)
        return
    let_go(lab.directory, host.name)
    # Services have their own mount namespaces, which may still contain the hanging mount.
    ssh.run_on(lab, host, f"rm -f {HELD}; ! grep -q ' {share} fuse' /proc/mounts || umount -l {share}")
    ssh.run_on(lab, host, "systemctl restart balancer-importer nginx-recordings")


def let_go(directory: Path, host_name: str = "*") -> None:
    """End the processes that hold the shares of a lab's hosts, or of one host; they run outside of the hosts."""
    for pid_file in directory.glob(f"{host_name}{PID_SUFFIX}"):
        _end(int(pid_file.read_text()))
        pid_file.unlink()


def _init(lab: Lab, host: Host) -> int:
    found = processes.inits(lab.host_directory(host))
    if not found:
        raise LabError(f"{host.name} is not running")
    return found[0]


def _is_held(lab: Lab, host: Host, holder: subprocess.Popen[bytes]) -> bool:
    if holder.poll() is not None:
        raise LabError(f"{host.name}: the hanging share could not be mounted")
    return "held" in ssh.run_on(lab, host, f"test ! -e {HELD} || echo held")


def _end(pid: int) -> None:
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists() and HELD.encode() in command.read_bytes():
        os.kill(pid, signal.SIGKILL)


def _pid_file(lab: Lab, host: Host) -> Path:
    return lab.directory / f"{host.name}{PID_SUFFIX}"
