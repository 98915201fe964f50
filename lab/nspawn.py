"""Hosts as systemd-nspawn machines: an overlay over the cached image, on the machine's own kernel."""

import os
import signal
from pathlib import Path

from lab import cgroups, host_identity, image, network, processes
from lab.state import Host, Lab
from lab.topology import Topology

SHARE_ON_HOSTS = "/srv/bbb-fleet"
SHARING = frozenset({"storage", "balancer", "edge"})


def prepare(lab: Lab, host: Host, topology: Topology) -> None:
    """Mount the host's file system and, the first time, write the host's identity into it."""
    directory = lab.host_directory(host)
    for part in ("root", "upper", "work"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    root = directory / "root"
    if not os.path.ismount(root):
        image.mount(root, directory / "upper", directory / "work", image.layers(host.image, topology))
    if not host_identity.is_complete(root):
        host_identity.write(lab, host, root)


def boot_command(lab: Lab, host: Host) -> list[str]:
    """The command line that runs the host until it is shut down."""
    command = [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={lab.host_directory(host) / 'root'}",
        f"--machine={lab.name}-{host.name}",
        f"--hostname={host.name}",
        f"--network-bridge={lab.bridge}",
        "--register=no",
        "--resolv-conf=off",
        "--link-journal=no",
        "--timezone=off",
        # The lab's disks are temporary: waiting for them would only slow down installations.
        "--suppress-sync=yes",
        *_share(lab, host),
    ]
    if cgroups.needed():
        command.append("--keep-unit")
    return processes.kept(command, name=command[0])


def request_shutdown(lab: Lab, host: Host) -> None:
    """Ask the host's init to shut down, like a power button."""
    processes.signal_all(processes.runners(lab.host_directory(host)), signal.SIGTERM)


def clear_up(lab_name: str, directory: Path) -> None:
    """Remove what an ended host leaves on the machine; its file system stays mounted."""
    machine = f"{lab_name}-{directory.name}"
    network.remove_interface(f"vb-{machine}")
    cgroups.remove(machine)


def unmount(directory: Path) -> None:
    """Unmount the file system of a host that is being removed."""
    image.unmount(directory / "root")


def _share(lab: Lab, host: Host) -> list[str]:
    """Without NFS, bind one directory of the machine into the storage host and into the hosts that would mount it."""
    if lab.share != "bind" or not SHARING & set(host.groups):
        return []
    lab.share_directory.mkdir(exist_ok=True)
    return [f"--bind={lab.share_directory}:{SHARE_ON_HOSTS}"]
