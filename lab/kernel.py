"""Kernel settings and file systems of the machine that hosts depend on."""

import shutil
import subprocess
from pathlib import Path

from lab import state

FILESYSTEMS = Path("/proc/filesystems")
SETTINGS = Path("/proc/sys")
FORMER = state.STATE_ROOT / ".former-settings"
# Minimum settings: packets are forwarded to the mirror, and each host's systemd watches some files.
NEEDED = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}


def change_settings() -> None:
    """Raise settings that are too low for a lab, and save their former values."""
    for name, needed in NEEDED.items():
        setting, note = SETTINGS / name, _note(name)
        if int(setting.read_text()) < needed:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(setting.read_text())
            setting.write_text(f"{needed}\n")


def restore_settings() -> None:
    """Restore the former values; for the last lab that is taken down."""
    for name in NEEDED:
        note = _note(name)
        if note.exists():
            (SETTINGS / name).write_text(note.read_text())
            note.unlink()
    if FORMER.exists():
        FORMER.rmdir()


def has_nfs() -> bool:
    """Whether nspawn hosts can serve and mount NFS: the kernel has, or can load, both server and client."""
    if not {"nfsd", "nfs4"} <= _filesystems() and shutil.which("modprobe"):
        # modprobe's result is ignored, because /proc/filesystems shows what was loaded.
        subprocess.run(["modprobe", "--quiet", "--all", "nfs", "nfsv4", "nfsd"], check=False)
    return {"nfsd", "nfs4"} <= _filesystems()


def _note(name: str) -> Path:
    return FORMER / name.replace("/", ".")


def _filesystems() -> set[str]:
    return {line.split()[-1] for line in FILESYSTEMS.read_text().splitlines()}
