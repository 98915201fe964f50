"""How the lab and Ansible reach hosts: with the lab's own key, and host keys that are known beforehand."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from lab import state
from lab.command import run
from lab.errors import LabError
from lab.state import Host, Lab

CONNECT_TIMEOUT = 10


def key_file(lab: Lab) -> Path:
    return lab.directory / "ssh_key"


def known_hosts_file(lab: Lab) -> Path:
    return lab.directory / "known_hosts"


def make_keys(lab: Lab) -> None:
    """Create the lab's key and a key for each host, keep existing ones, and list the host keys in known_hosts."""
    _make_key(key_file(lab), f"bbb-fleet-lab-{lab.name}")
    lines = []
    for host in lab.hosts:
        path = host_key_file(lab, host)
        _make_key(path, host.name)
        public = " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])
        lines.append(f"{host.address},{lab.fqdn(host)},{host.name} {public}\n")
    state.write_atomically(known_hosts_file(lab), "".join(lines))


def host_key_file(lab: Lab, host: Host) -> Path:
    """The file in which the lab keeps a host's ssh key, which stays the same over restarts."""
    return lab.directory / "host_keys" / host.name


def options(lab: Lab) -> list[str]:
    """Options of ssh and scp; host keys are always checked."""
    return [
        "-i",
        str(key_file(lab)),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"UserKnownHostsFile={known_hosts_file(lab)}",
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={CONNECT_TIMEOUT}",
    ]


def command_line(lab: Lab, host: Host, command: Sequence[str]) -> list[str]:
    """The ssh command line that runs `command` on the host as root; the host's shell gets the words unquoted."""
    return ["ssh", *options(lab), f"root@{host.address}", *command]


def run_on(lab: Lab, host: Host, command: str, *, stdin: str | None = None, timeout: float = 600) -> str:
    """Run a shell command on a host as root and return its output; raises LabError naming the host if it fails."""
    try:
        return run(command_line(lab, host, ["--", command]), stdin=stdin, timeout=timeout)
    except LabError as error:
        raise LabError(f"{host.name}: {error}") from error


def copy_to(lab: Lab, host: Host, source: Path, target: str) -> None:
    """Copy a file or a directory to a host."""
    run(["scp", "-q", "-r", *options(lab), source, f"root@{host.address}:{target}"])


def answers(lab: Lab, host: Host) -> bool:
    """Whether the host has finished booting, as far as ssh can tell."""
    result = subprocess.run(
        command_line(lab, host, ["systemctl", "is-system-running"]), capture_output=True, text=True, check=False
    )
    return result.stdout.strip() in {"running", "degraded"}


def end_connections(directory: Path) -> None:
    """End every ssh that uses a lab's files: a killed lab command leaves its ssh running until that times out."""
    ours = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] in ("ssh", "scp")
        and any(f"{directory}/" in word for word in process.info["cmdline"] or ())
    ]
    for process in ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(ours, timeout=CONNECT_TIMEOUT)


def _make_key(path: Path, comment: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
