"""Reads archives of the spool: checks all members before a byte is written, then unpacks them with digests and syncs.

tarfile's data filter is applied too, but nothing depends on it: we create each file ourselves, in a tree of our own.
"""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from balancer.core import archive
from balancer.core.archive import ArchiveRefusedError, ArchiveTruncatedError, Contents, Member

_CHUNK: Final = 1024 * 1024
_BLOCK: Final = 512
_MAGIC: Final = slice(257, 262)
_SIZE: Final = slice(124, 136)
_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_KINDS: Final = {
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "named pipe",
}


@dataclass
class Tree:
    """A format's unpacked files: their number, total size, and one digest over names, sizes and contents."""

    files: int = 0
    unpacked_bytes: int = 0
    _lines: list[bytes] = field(default_factory=list)

    def add(self, name: str, size: int, digest: str) -> None:
        self.files += 1
        self.unpacked_bytes += size
        self._lines.append(f"{name}\0{size}\0{digest}\n".encode())

    @property
    def sha256(self) -> str:
        return hashlib.sha256(b"".join(sorted(self._lines))).hexdigest()


class _Bounded(io.RawIOBase):
    """Limits a single read to what a sane header needs, because a header may claim to be gigabytes long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise ArchiveRefusedError("has a header longer than 1 MiB; do not trust it")
        return self._file.read(size)


def digest(file: IO[bytes], progress: Callable[[], None]) -> str:
    """SHA-256 of the whole file, in hex."""
    running = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        running.update(chunk)
        progress()
    return running.hexdigest()


def inspect(file: IO[bytes], limit_bytes: int) -> Contents:
    """Check every member. Raises ArchiveRefusedError, or ArchiveTruncatedError if the end is missing."""
    size = os.fstat(file.fileno()).st_size
    with _open(file) as tar:
        return archive.check(_members(tar, size), limit_bytes=limit_bytes)


def unpack(file: IO[bytes], directory: Path, progress: Callable[[], None]) -> dict[str, Tree]:
    """Write an inspected archive's files below a new, empty directory and sync them. Return each format's tree."""
    trees: dict[str, Tree] = {}
    directory.mkdir(mode=_DIRECTORY_MODE)
    made = {directory}
    with _open(file) as tar:
        for info in _headers(tar):
            # Checked again, because the file may have been written to between the two passes.
            path = archive.safe_path(info.name)
            target = directory.joinpath(*path)
            if info.isdir():
                _make(target, made)
                continue
            _check_with_tarfile(info, directory)
            if not info.isreg() or len(path) < 3:
                raise ArchiveTruncatedError("changed while it was read")
            _make(target.parent, made)
            content = _write(tar, info, target, progress)
            trees.setdefault(path[0], Tree()).add("/".join(path[2:]), info.size, content)
    for each in made:
        sync_directory(each)
    return trees


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(file: IO[bytes]) -> tarfile.TarFile:
    file.seek(0)
    head = file.read(_BLOCK)
    if len(head) < _BLOCK:
        raise ArchiveTruncatedError(f"is only {len(head)} bytes long")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise ArchiveRefusedError("is compressed; send an uncompressed tar")
    file.seek(0)
    try:
        return tarfile.TarFile(fileobj=_Bounded(file), mode="r", encoding="utf-8", errors="surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        # Newer tarfile modules refuse such a header themselves, with a message that does not mention the size.
        if _negative(head):
            raise ArchiveRefusedError("has a first member with a negative size") from error
        if head[_MAGIC] == b"ustar":
            raise ArchiveTruncatedError(f"ends within its first header ({error})") from error
        raise ArchiveRefusedError(f"is not a tar archive ({error}); send it again") from error


def _negative(header: bytes) -> bool:
    """Whether the size in a header is negative. GNU's base-256 form starts with 0xff then."""
    return header[_SIZE].startswith(b"\xff")


def _members(tar: tarfile.TarFile, archive_bytes: int) -> Iterator[Member]:
    """The members as the rules take them, read one by one. Raises ArchiveTruncatedError if the end is missing."""
    offset = -1
    for info in _headers(tar):
        # A hostile size sends the reader back to an earlier offset, so that reading would never end.
        if info.size < 0 or info.offset <= offset:
            raise ArchiveRefusedError(f"member {info.name[:200]!a} has a negative size")
        offset = info.offset
        if _kind(info) == "file" and info.offset_data + info.size > archive_bytes:
            raise ArchiveTruncatedError(f"ends within member {info.name[:200]!a}")
        yield Member(info.name, _kind(info), info.size if info.isreg() else 0)
    _complete(tar, archive_bytes)


def _headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    try:
        yield from tar
    except tarfile.ReadError as error:
        raise ArchiveTruncatedError(f"ends within a member ({error})") from error
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise ArchiveRefusedError(f"has a broken header ({error}); send it again") from error


def _kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "directory"
    if info.issparse():
        return "file with holes"
    return "file" if info.isreg() else _KINDS.get(info.type, f"member of unknown type {info.type!r}")


def _complete(tar: tarfile.TarFile, archive_bytes: int) -> None:
    """Check for the blocks of zeros that end an archive. tarfile takes a cut between two members for the end."""
    file = tar.fileobj
    assert file is not None  # noqa: S101 - open until its block ends
    file.seek(tar.offset)
    if tar.offset + _BLOCK > archive_bytes:
        raise ArchiveTruncatedError("ends without its end marker")
    if any(file.read(_BLOCK)):
        raise ArchiveRefusedError(f"has a broken header at byte {tar.offset}; send it again")


def _check_with_tarfile(info: tarfile.TarInfo, directory: Path) -> None:
    # A second opinion if there is one: Debian 12's Python 3.11.2 has no filters. Our own rules refuse the same.
    if not hasattr(tarfile, "data_filter"):
        return
    try:
        tarfile.data_filter(info, os.fspath(directory))
    except tarfile.FilterError as error:
        raise ArchiveRefusedError(f"member {info.name[:200]!a} is refused: {error}") from error


def _make(directory: Path, made: set[Path]) -> None:
    """Make a directory and its parents. None of them can be a link, because the staging directory is new and ours."""
    if directory in made:
        return
    _make(directory.parent, made)
    directory.mkdir()
    # Keep the group and the set-group-id bit, which the share's directories pass on.
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | _DIRECTORY_MODE)
    made.add(directory)


def _write(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path, progress: Callable[[], None]) -> str:
    source = tar.extractfile(info)
    if source is None:
        raise ArchiveTruncatedError("changed while it was read")
    running = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    with source, os.fdopen(descriptor, "wb") as file:
        left = info.size
        while left:
            chunk = source.read(min(_CHUNK, left))
            if not chunk:
                raise ArchiveTruncatedError(f"ends within member {info.name[:200]!a}")
            file.write(chunk)
            running.update(chunk)
            left -= len(chunk)
            progress()
        file.flush()
        os.fchmod(file.fileno(), _FILE_MODE)
        os.fsync(file.fileno())
    return running.hexdigest()
