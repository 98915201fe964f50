#!/usr/bin/python3
"""The only command that a node's key may run on the storage host. It takes that node's archives into the spool.

A node writes only below ``.arriving/NODE/``, with rsync confined there by rrsync. An archive enters the inbox after
its length and SHA-256 were checked and its bytes are on disk, and it never replaces another archive that waits there.
Requests: ``offer NAME SIZE`` (is there room?), ``rsync --server …``, ``commit NAME SIZE SHA256``. Answers are JSON.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shlex
import shutil
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import spool_entry

NAME = re.compile(rf"{spool_entry.RECORD_ID}-{spool_entry.FORMAT}\.tar")
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RRSYNC = "/usr/bin/rrsync"
#: The importer unpacks beside the archive, which needs as much space again; the reserve is for other writers.
ROOM_FACTOR = 2
ROOM_RESERVE = 512 * 1024 * 1024


class RefusedError(Exception):
    """The node's request is refused; the message says why, for the node's journal."""


def arriving_directory(spool: Path, node: str) -> Path:
    """The node's own directory, created on first use. Raises RefusedError."""
    if not NODE.fullmatch(node):
        raise RefusedError(f"{node!r} is not a node's name")
    directory = spool / ".arriving" / node
    directory.mkdir(mode=0o2770, parents=True, exist_ok=True)
    return directory


def offer(spool: Path, size: int) -> dict[str, Any]:
    """Accept an archive of ``size`` bytes if there is room for it. Raises RefusedError."""
    free = shutil.disk_usage(spool).free
    needed = size * ROOM_FACTOR + ROOM_RESERVE
    if free < needed:
        raise RefusedError(f"no room: {needed} bytes are needed for importing it, {free} are free")
    return {"state": "welcome", "free": free}


def commit(spool: Path, node: str, name: str, size: int, digest: str) -> dict[str, Any]:
    """Move a complete archive into the inbox. Raises RefusedError, NameTakenError."""
    directory = arriving_directory(spool, node)
    arrived = directory / name
    with locked(directory):
        try:
            # A symbolic link would put another file's bytes under this name.
            with os.fdopen(os.open(arrived, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
                length = os.fstat(stream.fileno()).st_size
                if length != size:
                    raise RefusedError(f"incomplete: {length} of {size} bytes arrived")
                if spool_entry.stream_digest(stream) != digest:
                    # The node sends it again from the start, because a damaged file cannot be continued.
                    arrived.unlink()
                    raise RefusedError("damaged: the bytes that arrived have a different SHA-256")
                os.fchmod(stream.fileno(), 0o664)
                os.fsync(stream.fileno())
        except FileNotFoundError as error:
            raise RefusedError("incomplete: 0 bytes arrived") from error
        spool_entry.enter(arrived, spool / name, size, digest)
        # In this order, so that a power cut never leaves the archive without a name.
        spool_entry.sync_directory(spool)
        arrived.unlink()
        spool_entry.sync_directory(directory)
    return {"state": "arrived", "size": size, "sha256": digest}


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a node's directory; rrsync takes the same lock. Raises RefusedError if it is taken."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError("another transfer of this node is under way; this one is tried again") from error
        yield
    finally:
        os.close(descriptor)


def unlink_entered(directory: Path) -> None:
    """Remove second names that a killed gate left of archives in the inbox, because rsync would write into these."""
    for path in directory.iterdir():
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            path.unlink()


def answer(spool: Path, node: str, words: list[str]) -> dict[str, Any]:
    """Carry out one request. Raises RefusedError, NameTakenError."""
    verb, *arguments = words or [""]
    if verb == "offer" and len(arguments) == 2 and _valid(arguments):
        return offer(spool, int(arguments[1]))
    if verb == "commit" and len(arguments) == 3 and _valid(arguments):
        return commit(spool, node, arguments[0], int(arguments[1]), arguments[2])
    raise RefusedError("this key may only offer, rsync and commit archives")


def _valid(arguments: list[str]) -> bool:
    name, size, *digest = arguments
    return bool(
        NAME.fullmatch(name)
        and re.fullmatch(r"[0-9]{1,15}", size)
        and all(re.fullmatch(r"[0-9a-f]{64}", word) for word in digest)
    )


def main() -> int:
    """Run as the forced command of a node's key."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("node")
    options = parser.parse_args()
    request = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    os.umask(0o007)
    try:
        if request.startswith("rsync --server "):
            directory = arriving_directory(options.spool, options.node)
            with locked(directory):
                unlink_entered(directory)
            os.execv(RRSYNC, [RRSYNC, "-wo", "-no-del", str(directory)])  # noqa: S606 (no shell is wanted)
        result = answer(options.spool, options.node, shlex.split(request))
    except (RefusedError, spool_entry.NameTakenError, OSError, ValueError) as error:
        print(json.dumps({"version": 1, "state": "refused", "reason": str(error)}))
        return 3
    print(json.dumps({"version": 1, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
