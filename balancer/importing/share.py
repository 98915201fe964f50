"""The recordings' share: spool, staging, trash and the three trees. Every step can be repeated after a crash.

spool/NAME.tar          inbox                      published/FORMAT/RECORDID/    unpublished/…    deleted/…
spool/.work/ID.tar      claimed, by import         .incoming/ID/FORMAT/RECORDID/             being unpacked
spool/failed/NAME.tar   refused, with .reason      .trash/ID/TREE/FORMAT/RECORDID/           replaced, about to go
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
#: In the staging directory: the places that this import is about to fill, or has filled.
_INTENT: Final = ".placing"
_OWN: Final = ("spool/.work", "spool/failed", ".incoming", ".trash")
#: Bytes that must stay free after an archive was unpacked.
_RESERVE: Final = 64 * 1024 * 1024


class ShareError(BalancerError):
    """The share cannot be used as it is; the text says why and what to do. Nothing was written."""


class Share:
    """The directories below the recordings' root, which must be one mount."""

    def __init__(self, root: Path, *, marker_required: bool) -> None:
        self.root = root
        self.spool = root / "spool"
        self._marker_required = marker_required

    def verify(self) -> None:
        """Raises ShareError unless the share is there, is one mount, and (where required) carries its marker."""
        if self._marker_required and (why := _why_unseen(self.root / MARKER)):
            raise ShareError(
                f"{self.root / MARKER} {why}: the share is not mounted at {self.root}. Mount it, or set"
                " BALANCER_SHARE_MARKER=off where the recordings lie on a local disk"
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
        """Make the directories that are missing. Only after ``verify``: never below an empty mount point."""
        for name in ("spool", *STATES):
            _make_directory(self.root / name)
        for name in _OWN:
            # Neither senders nor the recordings' web server have anything to do there.
            _make_directory(self.root / name, 0o750)

    def inbox(self) -> list[str]:
        """Names of the archives handed over, oldest first; hidden and temporary names are transfers under way."""
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
        """Whether the inbox still has it."""
        return (self.spool / name).exists()

    def archive(self, import_id: int) -> Path:
        """Where a claimed archive lies."""
        return self.spool / ".work" / f"{import_id}{_SUFFIX}"

    def staging(self, import_id: int) -> Path:
        return self.root / ".incoming" / str(import_id)

    def claim(self, name: str, import_id: int) -> bool:
        """Take an archive out of the inbox, in one rename; False: somebody else was faster."""
        target = self.archive(import_id)
        if target.exists():
            raise ShareError(f"{target} is there already: the database is older than the share. Restart the importer")
        try:
            os.rename(self.spool / name, target)
        except FileNotFoundError:
            # An NFS server may have done it and lost the answer.
            return target.exists()
        sync_directory(target.parent)
        sync_directory(self.spool)
        return True

    def require_space(self, needed_bytes: int) -> None:
        """Raises OSError (no space) before a single byte is unpacked where they will not all fit."""
        found = os.statvfs(self.root)
        free = found.f_bavail * found.f_frsize
        if free < needed_bytes + _RESERVE:
            raise OSError(
                errno.ENOSPC,
                f"{needed_bytes + _RESERVE} bytes are needed on the share and {free} are free; make room or enlarge it",
            )

    def place(self, import_id: int, playback_format: str, record_id: str, tree: str) -> None:
        """Put a staged format into its tree; what stood there, or in another tree, goes to the trash."""
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
        """Bring a format's files into a tree, from wherever they are.

        Raises FileNotFoundError where there are none, but to delete those is no trouble.
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
            # After a crash in the middle of an import both may be there; the tree of the row's state is the newer one.
            if target.is_dir():
                _remove_tree(source)
            else:
                os.rename(source, target)
            sync_directory(source.parent)
        sync_directory(target.parent)

    def revert(self, import_id: int) -> None:
        """Undo what an interrupted import left: what it placed goes, what it had replaced is back."""
        for _, (tree, playback_format, record_id) in _places(self.staging(import_id) / _INTENT):
            # Without its staged files the rename has happened: what is there came from this import.
            if not (self.staging(import_id) / playback_format / record_id).exists():
                _remove_tree(self._path(tree, playback_format, record_id))
        _remove_tree(self.staging(import_id))
        for path, (tree, playback_format, record_id) in _places(self.root / ".trash" / str(import_id)):
            target = self._path(tree, playback_format, record_id)
            if not any(self.holds(each, playback_format, record_id) for each in STATES):
                _make_directory(target.parent)
                os.rename(path, target)
                sync_directory(target.parent)
        _remove_tree(self.root / ".trash" / str(import_id))

    def clear(self, import_id: int) -> None:
        """Remove an import's archive and everything else of it, once files and rows are durable."""
        self.archive(import_id).unlink(missing_ok=True)
        sync_directory(self.archive(import_id).parent)
        _remove_tree(self.staging(import_id))
        _remove_tree(self.root / ".trash" / str(import_id))

    def refuse(self, import_id: int, name: str, reason: str) -> None:
        """Set a claimed archive aside in failed/, the reason beside it."""
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
        """Return an archive that no row knows to the inbox, under a name of its own; gives that name."""
        name = f"recovered-{import_id}{_SUFFIX}"
        # After a second backup was restored, the one that was returned after the first may still wait there.
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
        # The last line of defence: whatever the callers checked, no other name becomes part of a path.
        if tree not in STATES or not is_format(playback_format) or not is_record_id(record_id):
            raise ValueError(f"not a recording's place: {tree!r} {playback_format!r} {record_id!r}")
        return self.root / tree / playback_format / record_id

    def _discard(self, import_id: int, tree: str, playback_format: str, record_id: str) -> None:
        present = self._path(tree, playback_format, record_id)
        if not present.is_dir():
            return
        trashed = self.root / ".trash" / str(import_id) / tree / playback_format / record_id
        # An earlier attempt of this import may have left the same here.
        _remove_tree(trashed)
        trashed.parent.mkdir(parents=True, exist_ok=True)
        os.rename(present, trashed)
        sync_directory(present.parent)


def _places(directory: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """TREE/FORMAT/RECORDID below a directory: the path, and the three names."""
    for path in sorted(directory.glob("*/*/*")):
        yield path, (path.parent.parent.name, path.parent.name, path.name)


def _why_unseen(path: Path) -> str:
    """What keeps a file from being seen; empty where it is there."""
    try:
        return "" if path.is_file() else "is missing"
    except PermissionError:
        # An empty mount point is locked, so that nobody writes below it.
        return "is out of reach (permission denied)"


def _make_directory(path: Path, mode: int = 0o755) -> None:
    if path.is_dir():
        return
    path.mkdir(mode, exist_ok=True)
    # Whatever the umask: the web server has to pass. The set-group-id bit that the parent hands down is kept.
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    sync_directory(path.parent)


def _remove_tree(path: Path) -> None:
    """Remove a tree of ours, while another importer may be doing the same; links in it are never followed."""
    while path.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
