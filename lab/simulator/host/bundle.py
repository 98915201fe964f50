"""What has to be carried to a host: this package and ready-made media, as one archive."""

import tarfile
from pathlib import Path

import lab
from lab.simulator.recordings.media import media


def bundle(target: Path) -> None:
    """Write a tar that unpacks to /usr/local/lib/bbb-simulator; makes the media if needed (ffmpeg)."""
    package = Path(lab.__file__).parent
    with tarfile.open(target, "w") as archive:
        archive.add(package / "__init__.py", "lab/__init__.py", filter=_plain)
        archive.add(package / "simulator", "lab/simulator", filter=_plain)
        archive.add(media(), "media", filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave caches out; everything belongs to root, readable for all."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() else 0o644
    return member
