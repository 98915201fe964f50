"""Hosts: what is written into one before it boots, and starting and stopping it."""

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from lab import cgroups, image, network, processes, ssh, state
from lab.command import run, wait_until
from lab.errors import LabError
from lab.state import Host, Lab
from lab.topology import Topology

BOOT_DEADLINE = 90.0
STOP_DEADLINE = 90.0
CLEAR_UP_DEADLINE = 10.0


def root_of(lab: Lab, host: Host) -> Path:
    """The host's file system as the controller sees it."""
    return lab.host_directory(host) / "root"


def prepare(lab: Lab, host: Host, topology: Topology) -> None:
    """Mount the host's file system and, the first time, give the host its identity."""
    directory = lab.host_directory(host)
    for part in ("root", "upper", "work"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    root = root_of(lab, host)
    if not os.path.ismount(root):
        image.mount(root, directory / "upper", directory / "work", image.layers(host.image, topology))
    if not (root / "etc/bbb-fleet-lab").exists():
        _give_identity(lab, host, root)


def start(lab: Lab, host: Host) -> None:
    """Boot a host that is not running; returns at once, `await_boot` waits."""
    if process_of(lab, host) is not None:
        return
    log = lab.host_directory(host) / "console.log"
    with log.open("ab") as console:
        subprocess.Popen(
            _boot_command(lab, host),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            preexec_fn=cgroups.joiner(f"{lab.name}-{host.name}"),
        )


def await_boot(lab: Lab, host: Host) -> None:
    """Return when the host has booted and answers over ssh."""

    def up() -> bool:
        if process_of(lab, host) is None:
            raise LabError(f"{host.name} ended while booting; its console: {lab.host_directory(host) / 'console.log'}")
        return ssh.answers(lab, host)

    wait_until(up, what=f"{host.name} boots", within=BOOT_DEADLINE)


def stop(lab: Lab, host: Host) -> None:
    """Shut a host down in order, as its `poweroff` would."""
    processes.signal_all(processes.runners(lab.host_directory(host)), signal.SIGTERM)
    _await_end(lab.name, lab.host_directory(host), STOP_DEADLINE)


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
    root = directory / "root"
    while os.path.ismount(root):
        run(["umount", root])
    shutil.rmtree(directory)


def process_of(lab: Lab, host: Host) -> int | None:
    """Process id of the program that runs the host, or None."""
    found = processes.runners(lab.host_directory(host))
    return found[0] if found else None


def _end_now(lab_name: str, directory: Path) -> None:
    # The host's init first: its runner then notices and clears up after it. A runner without an init goes next.
    processes.signal_all(processes.inits(directory), signal.SIGKILL)
    try:
        processes.await_end(directory, within=CLEAR_UP_DEADLINE)
    except LabError:
        processes.signal_all(processes.runners(directory) + processes.inits(directory), signal.SIGKILL)
    _await_end(lab_name, directory, CLEAR_UP_DEADLINE)


def _await_end(lab_name: str, directory: Path, within: float) -> None:
    processes.await_end(directory, within)
    machine = f"{lab_name}-{directory.name}"
    network.remove_interface(f"vb-{machine}")
    cgroups.remove(machine)


def _boot_command(lab: Lab, host: Host) -> list[str]:
    command = [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={root_of(lab, host)}",
        f"--machine={lab.name}-{host.name}",
        f"--hostname={host.name}",
        f"--network-bridge={lab.bridge}",
        "--register=no",
        "--resolv-conf=off",
        "--link-journal=no",
        "--timezone=off",
        # The lab's disks are thrown away: waiting for them would only make every installation slower.
        "--suppress-sync=yes",
    ]
    if cgroups.needed():
        command.append("--keep-unit")
    return command


def _give_identity(lab: Lab, host: Host, root: Path) -> None:
    """Name, address, machine id, ssh identity, authorised keys, names of the others, resolver."""
    _write(root / "etc/hostname", f"{host.name}\n")
    _write(root / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _write(root / "etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    network.write_names(root / "etc/hosts", lab, network.names_for_hosts(lab))
    _write(root / "etc/systemd/network/10-lab.network", _network_unit(lab, host))
    _write(root / "etc/resolv.conf", _resolver())
    host_key = ssh.host_key_file(lab, host)
    _write(root / "etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key.pub", host_key.with_name(f"{host_key.name}.pub").read_text())
    authorized = ssh.key_file(lab).with_name("ssh_key.pub").read_text()
    for home in ("root", f"home/{image.OPERATOR}"):
        _write(root / home / ".ssh/authorized_keys", authorized, 0o600)
        owner = (root / home).stat()
        for path in (root / home / ".ssh", root / home / ".ssh/authorized_keys"):
            os.chown(path, owner.st_uid, owner.st_gid)
    # Last, and the sign that all of the above is there.
    _write(root / "etc/bbb-fleet-lab", f"{lab.name}\n")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if mode & 0o044 else 0o700)
    # Debian's resolv.conf may be a link that points out of the host's tree.
    if path.is_symlink():
        path.unlink()
    state.write_atomically(path, text, mode)


def _network_unit(lab: Lab, host: Host) -> str:
    # Named to sort before 80-container-host0.network, which would ask for an address by DHCP.
    return f"""[Match]
Name=host0 vec0

[Network]
Address={host.address}/{lab.subnet.partition("/")[2]}
Gateway={lab.gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def _resolver() -> str:
    """The machine's resolver, as its hosts can use it: not the one that listens on the machine's loopback."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if path.exists() and "nameserver 127." not in path.read_text():
            return path.read_text()
    raise LabError("the machine's resolver listens on its loopback only; the lab's hosts cannot ask it")
