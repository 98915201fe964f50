"""Hosts as User Mode Linux machines, which have their own kernel with NFS if the machine's kernel has none.

System calls are some ten times slower than on the machine itself, so these hosts' images have the roles'
packages installed beforehand.

Debian 12's kernel program (6.1) panics in put_fp_registers if the processor has AMX (`amx_tile` in /proc/cpuinfo, Intel
servers since 2023). It keeps 2696 bytes of a task's XSAVE state, which end before AMX's tiles, and the machine's kernel
accepts only the whole state, 11008 bytes there. So uml_ptrace.c is preloaded and writes the whole. Debian 13's kernel
program (6.12) is no alternative, because it needs a later libc than Debian 12 has. The preload is there on every
processor: it compares sizes itself, and acts only if the state is larger than what the kernel program keeps. So it also
serves for the next such feature, and every machine tests the same way of starting.
"""

import functools
import hashlib
import os
import platform
import shutil
from ipaddress import IPv4Address
from pathlib import Path

from lab import host_identity, image, network, processes, ssh, state
from lab.command import run
from lab.errors import LabError
from lab.state import Host, Lab
from lab.topology import Topology

KERNEL = "linux.uml"
REBOOTED = Path(__file__).with_name("uml_rebooted.sh")
MODULES = Path("/usr/lib/uml/modules")
PTRACE = Path(__file__).with_name("uml_ptrace.c")
SHARED_MEMORY = Path("/dev/shm")
MEMORY_MIB = 768
DISK = "4G"


def prepare(lab: Lab, host: Host, topology: Topology) -> None:
    """Make the host's disk from its image and identity; a disk that is there stays."""
    directory = lab.host_directory(host)
    directory.mkdir(parents=True, exist_ok=True)
    disk = directory / "disk.img"
    if disk.exists():
        return
    upper, draft = directory / "upper", directory / "disk.draft"
    upper.mkdir(exist_ok=True)
    with image.stacked(upper, image.layers(f"{host.image}-uml", topology)) as root:
        host_identity.write(lab, host, root)
        _give_kernel_modules(root)
        (root / "etc/fstab").write_text("/dev/ubda / ext4 defaults 0 1\n")
        draft.unlink(missing_ok=True)
        run(["mkfs.ext4", "-q", "-F", "-d", root, draft, DISK])
    draft.rename(disk)
    shutil.rmtree(upper)


def boot_command(lab: Lab, host: Host) -> list[str]:
    """The command line that runs the host until it is shut down; makes the host's end of the bridge."""
    directory = lab.host_directory(host)
    tap = link_name(lab.name, host.name)
    if not (Path("/sys/class/net") / tap).exists():
        run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"])
    run(["ip", "link", "set", tap, "master", lab.bridge, "up"])
    link = f"vec0:transport=tap,ifname={tap},depth=128,gro=1,mac={_mac(host)}"
    command = kernel_command(directory, f"{MEMORY_MIB}M", directory / "disk.img", link)
    environment = kernel_environment(directory, machines=sum(host.machine == "uml" for host in lab.hosts))
    # To reboot, the kernel executes its own name again, and would find its old self still holding the interface.
    # So it is called by the name of a program that asks for a new start.
    return processes.kept(command, name=str(REBOOTED), environment=environment)


def kernel_command(directory: Path, memory: str, disk: Path, *arguments: str) -> list[str]:
    """The command line of a kernel program with a disk, which keeps its sockets below `directory`."""
    return [
        KERNEL,
        f"mem={memory}",
        "root=/dev/ubda",
        "rw",
        f"ubd0={disk}",
        f"uml_dir={directory}/",
        "umid=uml",
        *arguments,
        "con=null",
        "con0=null,fd:1",
    ]


def kernel_environment(directory: Path, machines: int) -> dict[str, str]:
    """What a kernel program needs in its environment, if this many run side by side.

    Their memory is a file in TMPDIR, and a kernel program ends with a bus error if that runs full.
    """
    preloaded = [str(build(PTRACE, ".so", "-shared", "-fPIC")), *os.environ.get("LD_PRELOAD", "").split(":")]
    memory = SHARED_MEMORY if _has_room(SHARED_MEMORY, machines * MEMORY_MIB) else directory
    return {"LD_PRELOAD": ":".join(filter(None, preloaded)), "TMPDIR": str(memory)}


@functools.cache
def build(source: Path, suffix: str, *options: str) -> Path:
    """The program that gcc makes of a C file; built when the file has changed."""
    recipe = source.read_bytes() + " ".join(options).encode()
    target = image.CACHE / f"{source.stem}-{hashlib.sha256(recipe).hexdigest()[:12]}{suffix}"
    with state.locked(source.stem):
        if not target.exists():
            image.CACHE.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.draft")
            run(["gcc", "-O2", "-Wall", "-Wextra", *options, "-o", draft, source])
            draft.rename(target)
    return target


def request_shutdown(lab: Lab, host: Host) -> None:
    """Have the host power itself off: the kernel program itself knows no orderly end."""
    ssh.run_on(lab, host, "systemctl poweroff --no-block")


def clear_up(lab_name: str, directory: Path) -> None:
    """Remove what an ended host leaves on the machine; its disk stays."""
    network.remove_interface(link_name(lab_name, directory.name))
    if (directory / "uml").exists():
        shutil.rmtree(directory / "uml")


def unmount(directory: Path) -> None:
    """Let go of a disk that was being made when `up` was cut off."""
    for root in directory.glob("*.root"):
        image.unmount(root)


def link_name(lab_name: str, host_name: str) -> str:
    """The controller's end of a host's link to the bridge."""
    # An interface's name has 15 characters at most.
    return f"bft-{hashlib.sha256(f'{lab_name}/{host_name}'.encode()).hexdigest()[:10]}"


def _has_room(directory: Path, mebibytes: int) -> bool:
    """Whether programs can be kept in a directory, and this much memory."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= mebibytes << 20 and not found.f_flag & os.ST_NOEXEC


def _mac(host: Host) -> str:
    """A hardware address that stays the same, so that the others' ARP caches survive a restart."""
    return "02:bf:" + ":".join(f"{byte:02x}" for byte in IPv4Address(host.address).packed)


def _give_kernel_modules(root: Path) -> None:
    versions = sorted(MODULES.glob("*")) if platform.machine() == "x86_64" else []
    if not versions:
        raise LabError(f"no kernel modules in {MODULES}: install the package user-mode-linux")
    target = root / "lib/modules" / versions[-1].name
    shutil.copytree(versions[-1], target, symlinks=True, dirs_exist_ok=True)
