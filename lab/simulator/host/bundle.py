"""The archive that a host needs: this package and ready-made media."""

import hashlib
import tarfile
from pathlib import Path

import lab
from lab.simulator.recordings.media import media

_SOURCES = Path(__file__).parents[1]


def source_digest() -> str:
    """Return a hash of the simulator's own files."""
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(_SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def bundle(target: Path) -> None:
    """Write a tar that unpacks to /usr/local/lib/bbb-simulator; creates the media with ffmpeg if needed."""
    package = Path(lab.__file__).parent
    with tarfile.open(target, "w") as archive:
        archive.add(package / "__init__.py", "lab/__init__.py", filter=_normalized)
        archive.add(_SOURCES, "lab/simulator", filter=_normalized)
        archive.add(media(), "media", filter=_normalized)


def _normalized(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Skip caches; make root the owner and everything world-readable."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() else 0o644
    return member
