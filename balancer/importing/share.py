"""The recordings' share: spool, staging, trash and the three trees. Every step can be repeated after a crash.

spool/NAME.tar          inbox                      published/FORMAT/RECORDID/    unpublished/…    deleted/…
spool/.work/ID.tar      claimed, by import         .incoming/ID/FORMAT/RECORDID/             being unpacked
spool/failed/NAME.tar   refused, with .reason      .trash/ID/TREE/FORMAT/RECORDID/           replaced, to be removed
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from balancer.core.recordings import DELETED, STATES, is_format, is_record_id
from balancer.errors import BalancerError
from balancer.importing.tarball import sync_directory

MARKER: Final = ".bbb-fleet-share"

_SUFFIX: Final = ".tar"
#: In the staging directory: the paths that this import is about to fill, or has filled.
_INTENT: Final = ".placing"
_OWN: Final = ("spool/.work", "spool/failed", ".incoming", ".trash")
#: Bytes that must stay free after an archive was unpacked.
_RESERVE: Final = 64 * 1024 * 1024


class ShareError(BalancerError):
    """The share cannot be used. The text says why and what to do. Nothing was written."""


class Share:
    """The directories below the recordings' root, which must be one mount."""

    def __init__(self, root: Path, *, marker_required: bool) -> None:
        self.root = root
        self.spool = root / "spool"
        self._marker_required = marker_required

    def verify(self) -> None:
        """Raises ShareError unless the share is there, is one mount, and has its marker if one is required."""
        if self._marker_required and (why := _why_absent(self.root / MARKER)):
            raise ShareError(
                f"{self.root / MARKER} {why}: the share is not mounted at {self.root}. Mount it, or set"
                " BALANCER_SHARE_MARKER=off if the recordings are on a local disk"
            )
        if not self.root.is_dir():
            raise ShareError(f"{self.root} is missing: create it, or correct BALANCER_RECORDINGS_ROOT")
        device = self.root.stat().st_dev
        for name in ("spool", *_OWN, *STATES):
            path = self.root / name
            if path.exists() and path.stat().st_dev != device:
                raise ShareError(
                    f"{path} is a mount of its own: files cannot be renamed into it; mount {self.root} alone"
                )

    def prepare(self) -> None:
        """Make missing directories. Call only after ``verify``, so that none is made below an empty mount point."""
        for name in ("spool", *STATES):
            _make_directory(self.root / name)
        for name in _OWN:
            # Neither senders nor the web server for recordings need access there.
            _make_directory(self.root / name, 0o750)

    def inbox(self) -> list[str]:
        """Names of the archives handed over, oldest first. Hidden and temporary names are transfers in progress."""
        found: list[tuple[float, str]] = []
        with os.scandir(self.spool) as entries:
            for entry in entries:
                if (
                    entry.name.endswith(_SUFFIX)
                    and not entry.name.startswith(".")
                    and entry.is_file(follow_symlinks=False)
                ):
                    found.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
        return [name for _, name in sorted(found)]

    def offers(self, name: str) -> bool:
        """Whether the inbox still has this archive."""
        return (self.spool / name).exists()

    def archive(self, import_id: int) -> Path:
        """The path of a claimed archive."""
        return self.spool / ".work" / f"{import_id}{_SUFFIX}"

    def staging(self, import_id: int) -> Path:
        return self.root / ".incoming" / str(import_id)

    def claim(self, name: str, import_id: int) -> bool:
        """Take an archive out of the inbox by one rename. Return False if another importer was faster."""
        target = self.archive(import_id)
        if target.exists():
            raise ShareError(f"{target} is there already: the database is older than the share. Restart the importer")
        try:
            os.rename(self.spool / name, target)
        except FileNotFoundError:
            # An NFS server may have renamed it and lost the answer.
            return target.exists()
        sync_directory(target.parent)
        sync_directory(self.spool)
        return True

    def require_space(self, needed_bytes: int) -> None:
        """Raises OSError (ENOSPC) if the bytes will not all fit, before any is unpacked."""
        found = os.statvfs(self.root)
        free = found.f_bavail * found.f_frsize
        if free < needed_bytes + _RESERVE:
            raise OSError(
                errno.ENOSPC,
                f"{needed_bytes + _RESERVE} bytes are needed on the share and {free} are free; make room or enlarge it",
            )

    def place(self, import_id: int, playback_format: str, record_id: str, tree: str) -> None:
        """Move a staged format into its tree. Files of it in this or another tree go to the trash."""
        staged = self.staging(import_id) / playback_format / record_id
        target = self._path(tree, playback_format, record_id)
        intent = self.staging(import_id) / _INTENT / tree / playback_format / record_id
        intent.mkdir(parents=True)
        _make_directory(target.parent)
        for other in STATES:
            self._discard(import_id, other, playback_format, record_id)
        os.rename(staged, target)
        sync_directory(target.parent)

    def holds(self, tree: str, playback_format: str, record_id: str) -> bool:
        return self._path(tree, playback_format, record_id).is_dir()

    def move(self, playback_format: str, record_id: str, tree: str) -> None:
        """Move a format's files into a tree from the tree that they are in.

        Raises FileNotFoundError if no tree has them, unless they are to be deleted.
        """
        target = self._path(tree, playback_format, record_id)
        sources = [
            path for each in STATES if each != tree and (path := self._path(each, playback_format, record_id)).is_dir()
        ]
        if target.is_dir() and not sources:
            return
        if not sources and tree == DELETED:
            return
        if not sources:
            raise FileNotFoundError(errno.ENOENT, "the files are in no tree; import the archive again", str(target))
        _make_directory(target.parent)
        for source in sources:
            # After a crash during an import both may exist. The tree of the row's state is the newer one.
            if target.is_dir():
                _remove_tree(source)
            else:
                os.rename(source, target)
            sync_directory(source.parent)
        sync_directory(target.parent)

    def revert(self, import_id: int) -> None:
        """Undo an interrupted import: remove what it put in place, put back what it had replaced."""
        for _, (tree, playback_format, record_id) in _formats_below(self.staging(import_id) / _INTENT):
            # If the staged files are gone, they were renamed: the files in the tree came from this import.
            if not (self.staging(import_id) / playback_format / record_id).exists():
                _remove_tree(self._path(tree, playback_format, record_id))
        _remove_tree(self.staging(import_id))
        for path, (tree, playback_format, record_id) in _formats_below(self.root / ".trash" / str(import_id)):
            target = self._path(tree, playback_format, record_id)
            if not any(self.holds(each, playback_format, record_id) for each in STATES):
                _make_directory(target.parent)
                os.rename(path, target)
                sync_directory(target.parent)
        _remove_tree(self.root / ".trash" / str(import_id))

    def clear(self, import_id: int) -> None:
        """Remove an import's archive and its staging and trash, once files and rows are durable."""
        self.archive(import_id).unlink(missing_ok=True)
        sync_directory(self.archive(import_id).parent)
        _remove_tree(self.staging(import_id))
        _remove_tree(self.root / ".trash" / str(import_id))

    def refuse(self, import_id: int, name: str, reason: str) -> None:
        """Move a claimed archive to failed/, with the reason beside it."""
        failed = self.spool / "failed"
        if (failed / name).exists():
            name = f"{name.removesuffix(_SUFFIX)}-{import_id}{_SUFFIX}"
        explanation = failed / f".{name}.reason"
        with explanation.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{name}: {reason}\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(explanation, failed / f"{name}.reason")
        if self.archive(import_id).exists():
            os.rename(self.archive(import_id), failed / name)
        sync_directory(failed)
        self.revert(import_id)

    def give_back(self, import_id: int) -> str:
        """Return an archive without a row to the inbox under a new name. Return that name."""
        name = f"recovered-{import_id}{_SUFFIX}"
        # After a second restore of a backup, the archive returned after the first may still wait there.
        while (self.spool / name).exists():
            name = f"again-{name}"
        os.rename(self.archive(import_id), self.spool / name)
        self.revert(import_id)
        return name

    def leftovers(self) -> set[int]:
        """Ids of imports that have anything in .work, .incoming or .trash."""
        found: set[int] = set()
        for directory in (self.spool / ".work", self.root / ".incoming", self.root / ".trash"):
            for name in os.listdir(directory):
                stem = name.removesuffix(_SUFFIX)
                if stem.isdecimal() and stem.isascii():
                    found.add(int(stem))
        return found

    def _path(self, tree: str, playback_format: str, record_id: str) -> Path:
        # The last line of defence: whatever callers checked, no other name becomes part of a path.
        if tree not in STATES or not is_format(playback_format) or not is_record_id(record_id):
            raise ValueError(f"not a recording's path: {tree!r} {playback_format!r} {record_id!r}")
        return self.root / tree / playback_format / record_id

    def _discard(self, import_id: int, tree: str, playback_format: str, record_id: str) -> None:
        present = self._path(tree, playback_format, record_id)
        if not present.is_dir():
            return
        trashed = self.root / ".trash" / str(import_id) / tree / playback_format / record_id
        # An earlier attempt of this import may have left the same files here.
        _remove_tree(trashed)
        trashed.parent.mkdir(parents=True, exist_ok=True)
        os.rename(present, trashed)
        sync_directory(present.parent)


def _formats_below(directory: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Each TREE/FORMAT/RECORDID below a directory: its path and the three names."""
    for path in sorted(directory.glob("*/*/*")):
        yield path, (path.parent.parent.name, path.parent.name, path.name)


def _why_absent(path: Path) -> str:
    """Why a file cannot be seen; empty if it is there."""
    try:
        return "" if path.is_file() else "is missing"
    except PermissionError:
        # An empty mount point is locked, so that no process writes below it.
        return "cannot be read (permission denied)"


def _make_directory(path: Path, mode: int = 0o755) -> None:
    if path.is_dir():
        return
    path.mkdir(mode, exist_ok=True)
    # Set regardless of the umask, because the web server needs access. The inherited set-group-id bit is kept.
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    sync_directory(path.parent)


def _remove_tree(path: Path) -> None:
    """Remove a tree of ours. Another importer may be doing the same. Links in it are never followed."""
    while path.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
