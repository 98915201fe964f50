#!/usr/bin/python3
"""The one command that a node's key may run on the storage host: takes that node's archives into the spool.

A node writes below ``.arriving/NODE/`` alone, with rsync held there by rrsync. An archive enters the inbox after its
length and SHA-256 were found right and its bytes are on disk, and never in the place of another that waits there.
Words: ``offer NAME SIZE`` (is there room?), ``rsync --server …``, ``commit NAME SIZE SHA256``. Answers are JSON.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
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

NAME = re.compile(r"[0-9a-f]+-[0-9]+-[a-z0-9_]+\.tar")
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RRSYNC = "/usr/bin/rrsync"
#: The importer unpacks beside the archive, so it needs as much again; the rest is air for everybody else.
ROOM_FACTOR = 2
ROOM_RESERVE = 512 * 1024 * 1024
#: An archive of the same name may go, and another come, at every look.
LOOKS = 10


class RefusedError(Exception):
    """What the node asked for is not granted; the message says why, for its journal."""


def arriving_directory(spool: Path, node: str) -> Path:
    """The node's own place, made when it first comes."""
    if not NODE.fullmatch(node):
        raise RefusedError(f"{node!r} is not a node's name")
    directory = spool / ".arriving" / node
    directory.mkdir(mode=0o2770, parents=True, exist_ok=True)
    return directory


def offer(spool: Path, size: int) -> dict[str, Any]:
    """Say whether an archive of ``size`` bytes finds room. Raises RefusedError."""
    free = shutil.disk_usage(spool).free
    needed = size * ROOM_FACTOR + ROOM_RESERVE
    if free < needed:
        raise RefusedError(f"no room: {needed} bytes are needed for importing it, {free} are free")
    return {"state": "welcome", "free": free}


def commit(spool: Path, node: str, name: str, size: int, digest: str) -> dict[str, Any]:
    """Move an archive that arrived whole into the inbox. Raises RefusedError."""
    directory = arriving_directory(spool, node)
    arrived = directory / name
    with held(directory):
        try:
            # A symbolic link would be another file's bytes under this name.
            with os.fdopen(os.open(arrived, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
                length = os.fstat(stream.fileno()).st_size
                if length != size:
                    raise RefusedError(f"incomplete: {length} of {size} bytes arrived")
                if file_digest(stream) != digest:
                    # Sent again from the start: what lies here cannot be continued.
                    arrived.unlink()
                    raise RefusedError("damaged: the SHA-256 of what arrived is another one")
                os.fchmod(stream.fileno(), 0o664)
                os.fsync(stream.fileno())
        except FileNotFoundError as error:
            raise RefusedError("incomplete: 0 bytes arrived") from error
        enter(arrived, spool / name, digest)
        # In this order: no power cut leaves it without a name.
        sync_directory(spool)
        arrived.unlink()
        sync_directory(directory)
    return {"state": "arrived", "size": size, "sha256": digest}


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep a node's place as it is; rrsync takes the same lock. Raises RefusedError while it is taken."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError("another transfer of this node is under way; this one is tried again") from error
        yield
    finally:
        os.close(descriptor)


def enter(arrived: Path, waiting: Path, digest: str) -> None:
    """Give an archive its name in the inbox, unless the same waits there already. Raises RefusedError."""
    for _ in range(LOOKS):
        try:
            # Not a rename: that would replace an archive, which nobody may be able to make again.
            os.link(arrived, waiting)
        except FileExistsError:
            if waits(waiting, digest):
                return
        else:
            return
    raise RefusedError("archives of that name come and go too fast; the delivery is tried again")


def waits(waiting: Path, digest: str) -> bool:
    """Whether an archive of these very bytes has that name in the inbox. Raises RefusedError where another has."""
    try:
        with waiting.open("rb") as stream:
            same = file_digest(stream) == digest
    except FileNotFoundError:
        return False
    if not same:
        raise RefusedError("another archive of that name still waits for the importer; the delivery is tried again")
    return True


def forget_entered(directory: Path) -> None:
    """Drop what a gate that was cut off left here of archives in the inbox: rsync would write into those."""
    for path in directory.iterdir():
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            path.unlink()


def file_digest(stream: Any) -> str:
    """SHA-256 of what is left to read."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def sync_directory(directory: Path) -> None:
    """Make the names in it outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def answer(spool: Path, node: str, words: list[str]) -> dict[str, Any]:
    """Carry out one request. Raises RefusedError."""
    verb, *arguments = words or [""]
    if verb == "offer" and len(arguments) == 2 and _valid(arguments):
        return offer(spool, int(arguments[1]))
    if verb == "commit" and len(arguments) == 3 and _valid(arguments):
        return commit(spool, node, arguments[0], int(arguments[1]), arguments[2])
    raise RefusedError("this key may offer, rsync and commit archives, nothing else")


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
            with held(directory):
                forget_entered(directory)
            os.execv(RRSYNC, [RRSYNC, "-wo", "-no-del", str(directory)])  # noqa: S606 (no shell is wanted)
        result = answer(options.spool, options.node, shlex.split(request))
    except (RefusedError, OSError, ValueError) as error:
        print(json.dumps({"version": 1, "state": "refused", "reason": str(error)}))
        return 3
    print(json.dumps({"version": 1, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
