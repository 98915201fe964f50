"""How an archive enters the spool's inbox, and how it is named there.

Installed beside the agent on nodes and beside the gate on the storage host. Runs on Python 3.8 with its standard
library alone.
"""

import errno
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

#: The spelling of a recordID and of a format's name is that of balancer/core/recordings.py; a test compares them.
RECORD_ID = "[0-9a-f]{1,64}-[0-9]{1,20}"
FORMAT = "[a-z][a-z0-9_-]{0,31}"
#: Between two attempts the importer may take the archive of that name, and another node may deliver one.
ATTEMPTS = 10


class NameTakenError(Exception):
    """The inbox has another archive of that name; the message is for the node's journal."""


def enter(arrived: Path, waiting: Path, size: int, digest: str) -> None:
    """Give an archive its name in the inbox, unless the same archive has it already. Raises NameTakenError, OSError."""
    for _ in range(ATTEMPTS):
        try:
            # Not a rename, which would replace a waiting archive that perhaps cannot be built again.
            os.link(str(arrived), str(waiting))
        except FileExistsError:
            # An NFS server may have created the link and lost the answer.
            if is_waiting(waiting, size, digest):
                return
        else:
            return
    raise NameTakenError("archives of that name come and go too fast; the delivery is tried again")


def is_waiting(waiting: Path, size: int, digest: str) -> bool:
    """Whether the inbox has this archive. Raises NameTakenError if it has another one of that name, or OSError."""
    try:
        same = waiting.stat().st_size == size and file_digest(waiting) == digest
    except OSError as error:
        # The importer took it; over NFS that can happen during the read.
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return False
        raise
    if not same:
        raise NameTakenError("another archive of that name still waits for the importer; the delivery is tried again")
    return True


def file_digest(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return stream_digest(stream)


def stream_digest(stream: BinaryIO) -> str:
    """SHA-256, in hexadecimal, of the rest of a stream."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def sync_directory(directory: Path) -> None:
    """Write a directory's entries to disk, so that they survive a power cut."""
    descriptor = os.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
