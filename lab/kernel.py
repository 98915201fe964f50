"""What the machine's kernel can do for hosts."""

import shutil
import subprocess
from pathlib import Path

FILESYSTEMS = Path("/proc/filesystems")


def has_nfs() -> bool:
    """Whether nspawn hosts can serve and mount NFS: the kernel has both sides of it, or loads them."""
    if not {"nfsd", "nfs4"} <= _filesystems() and shutil.which("modprobe"):
        # What matters is what is there afterwards, not what modprobe says of it.
        subprocess.run(["modprobe", "--quiet", "--all", "nfs", "nfsv4", "nfsd"], check=False)
    return {"nfsd", "nfs4"} <= _filesystems()


def _filesystems() -> set[str]:
    return {line.split()[-1] for line in FILESYSTEMS.read_text().splitlines()}
