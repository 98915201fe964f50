"""What matters to the tests about the machine they run on: ``python -m tools.describe_machine``."""

import locale
import os
import platform
import shutil
import socket
import tempfile
import time
from pathlib import Path

from lab import kernel, uml, uml_probe

#: What User Mode Linux has to save of a task, from old processors to new ones.
FLAGS = ("xsave", "avx", "avx2", "avx512f", "pku", "amx_tile", "apx")
GIB = 1 << 30


def describe() -> dict[str, str]:
    """Findings by subject, in the order in which they are printed."""
    return {
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "memory": _memory(),
        "free space": _free_space(),
        "NFS": _nfs(),
        "IPv6": "yes" if _has_ipv6() else "no",
        "settings": f"Python {platform.python_version()}, time zone {time.tzname[0]} ({time.strftime('%z')}), "
        f"encoding {locale.getpreferredencoding()}, user {os.geteuid()}",
    }


def _processor() -> str:
    entries = dict(_pairs(Path("/proc/cpuinfo")))
    present = set(entries.get("flags", "").split())
    flags = ", ".join(flag for flag in FLAGS if flag in present) or "none of interest"
    cores = len(os.sched_getaffinity(0))
    return f"{entries.get('model name', 'unknown')}, {cores} of {os.cpu_count()} cores, flags: {flags}"


def _memory() -> str:
    kibibytes = {name: int(value.split()[0]) for name, value in _pairs(Path("/proc/meminfo"))}
    total, available = (kibibytes[name] * 1024 / GIB for name in ("MemTotal", "MemAvailable"))
    return f"{total:.1f} GiB, {available:.1f} available"


def _free_space() -> str:
    """Free GiB where the tests and the lab keep files."""
    folders = dict.fromkeys([".", tempfile.gettempdir(), str(uml.SHARED_MEMORY), "/var/lib", "/var/cache"])
    return ", ".join(
        f"{folder} {shutil.disk_usage(folder).free / GIB:.1f} GiB" for folder in folders if os.path.isdir(folder)
    )


def _nfs() -> str:
    if kernel.has_nfs():
        return "in this kernel"
    obstacle = uml_probe.obstacle()
    return f"not in this kernel; {f'not possible, because {obstacle}' if obstacle else 'in User Mode Linux'}"


def _has_ipv6() -> bool:
    """Whether a program can listen on IPv6's loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        return False
    return True


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The entries of one of the kernel's files of `name: value` lines."""
    lines = (line.partition(":") for line in path.read_text().splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, _, value in lines]


if __name__ == "__main__":
    for subject, finding in describe().items():
        print(f"{subject + ':':12} {finding}")
