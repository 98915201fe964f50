"""What an archive of the spool may contain: ``<format>/<recordID>/…``, plain files and directories, one recording.

The layout is Scalelite's. An archive holds one format or several. Every name is hostile until it passed here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from balancer.core.recordings import is_format, is_record_id
from balancer.errors import BalancerError

MAX_MEMBERS: Final = 100_000
METADATA: Final = "metadata.xml"

_MAX_NAME_BYTES = 200
_MAX_PATH_BYTES = 1000
_MAX_DEPTH = 20


class ArchiveRefusedError(BalancerError):
    """The archive can never be imported as it is. The text names the fault and, after a semicolon, the remedy."""


class ArchiveTruncatedError(BalancerError):
    """The archive ends too early: it is still being written, or its transfer was interrupted."""


@dataclass(frozen=True)
class Member:
    """A tar member. kind: "file", "directory", or the name of the kind that it has instead."""

    name: str
    kind: str
    size: int


@dataclass
class Contents:
    """Summary of the accepted members."""

    record_id: str
    formats: set[str] = field(default_factory=set)
    files: int = 0
    unpacked_bytes: int = 0


def check(members: Iterable[Member], *, limit_bytes: int) -> Contents:
    """Accept all members or raise ArchiveRefusedError. Members are checked one at a time, before any is written.

    limit_bytes: of all files together. The reader ensures that members have no holes and follow each other, so their
    total cannot exceed the archive's own size either.
    """
    contents: Contents | None = None
    kinds: dict[tuple[str, ...], str] = {}
    for number, member in enumerate(members, 1):
        if number > MAX_MEMBERS:
            raise ArchiveRefusedError(f"holds more than {MAX_MEMBERS} members; send the recording's own files alone")
        path = safe_path(member.name)
        _known_kind(member)
        _unique(kinds, path, member)
        _file_in_place(member, path)
        if len(path) < 2:
            continue
        contents = contents or Contents(path[1])
        _one_recording(contents, path, member)
        contents.formats.add(path[0])
        contents.files += member.kind == "file"
        contents.unpacked_bytes += member.size
        _bomb(contents, limit_bytes)
    return _complete(contents, kinds)


def safe_path(name: str) -> tuple[str, ...]:
    """The member's path below the staging directory, as parts. Raises ArchiveRefusedError."""
    shown = ascii(name[:200])
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in name):
        raise ArchiveRefusedError(f"member {shown} has a name that is not UTF-8; rename the file on the node")
    if not name.isprintable() or "\\" in name:
        raise ArchiveRefusedError(f"member {shown} has unprintable characters in its name; rename the file on the node")
    if name.startswith("/"):
        raise ArchiveRefusedError(f"member {shown} has an absolute path; pack it relative to the published directory")
    # Some tars write "./presentation/…". A dot leads nowhere.
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveRefusedError(f"member {shown} leads out of the archive; do not trust it")
    if len(name.encode()) > _MAX_PATH_BYTES or any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise ArchiveRefusedError(f"member {shown} has a name that is too long; rename the file on the node")
    if len(parts) > _MAX_DEPTH:
        raise ArchiveRefusedError(f"member {shown} is more than {_MAX_DEPTH} directories deep")
    if parts and not is_format(parts[0]):
        raise ArchiveRefusedError(f"member {shown} begins with {parts[0]!r}, which is no format's name")
    if len(parts) > 1 and not is_record_id(parts[1]):
        raise ArchiveRefusedError(f"member {shown}: {parts[1]!r} is no recordID")
    return parts


def _known_kind(member: Member) -> None:
    if member.kind not in ("file", "directory"):
        raise ArchiveRefusedError(
            f"member {member.name[:200]!a} is a {member.kind}; only files and directories are accepted"
        )


def _unique(kinds: dict[tuple[str, ...], str], path: tuple[str, ...], member: Member) -> None:
    """Directories may appear again. A file may appear once, and neither below a file nor as a directory too."""
    for depth in range(1, len(path)):
        if kinds.setdefault(path[:depth], "directory") == "file":
            raise ArchiveRefusedError(f"member {member.name[:200]!a} is below a file of the same archive")
    if path in kinds and "file" in (kinds[path], member.kind):
        raise ArchiveRefusedError(f"member {member.name[:200]!a} is in the archive twice; pack it again")
    kinds[path] = member.kind


def _one_recording(contents: Contents, path: tuple[str, ...], member: Member) -> None:
    if path[1] != contents.record_id:
        raise ArchiveRefusedError(
            f"member {member.name[:200]!a} belongs to another recording than {contents.record_id}; "
            "send one archive for each recording"
        )


def _file_in_place(member: Member, path: tuple[str, ...]) -> None:
    if member.kind == "file" and len(path) < 3:
        raise ArchiveRefusedError(
            f"member {member.name[:200]!a} is not below <format>/<recordID>/; pack the published directory"
        )
    if member.size < 0:
        raise ArchiveRefusedError(f"member {member.name[:200]!a} has a negative size")


def _bomb(contents: Contents, limit_bytes: int) -> None:
    if contents.unpacked_bytes > limit_bytes:
        raise ArchiveRefusedError(
            f"unpacks to more than {limit_bytes} bytes; raise balancer_import_limit_bytes if that is intended"
        )


def _complete(contents: Contents | None, kinds: dict[tuple[str, ...], str]) -> Contents:
    if contents is None:
        raise ArchiveRefusedError("holds no recording; pack <format>/<recordID>/ of the published directory")
    for each in sorted(contents.formats):
        if kinds.get((each, contents.record_id, METADATA)) != "file":
            raise ArchiveRefusedError(
                f"holds no {each}/{contents.record_id}/{METADATA}; send the format again once it is published"
            )
    return contents
