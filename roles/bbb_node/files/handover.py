#!/usr/bin/python3
"""Hands a node's published recordings over to the fleet's spool; runs on Python 3.8 with its standard library alone.

BigBlueButton's hook notes a finished format in ``inbox/``. ``run`` takes the notes into ``pending/``, builds one
archive ``RECORDID-FORMAT.tar`` with the members ``FORMAT/RECORDID/…`` (Scalelite's layout), delivers it and keeps
trying, with growing pauses, until it has arrived whole. ``delivered/`` remembers what arrived. Nothing of
BigBlueButton's is deleted.
"""

import argparse
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

CONFIGURATION = "/etc/bbb-fleet/handover.json"
NAME = re.compile(r"(?P<record>[0-9a-f]+-[0-9]+)-(?P<format>[a-z0-9_]+)")
RESERVE = 256 * 1024 * 1024
#: rsync's and ssh's exit codes that speak of the connection and not of the archive.
UNREACHABLE = (10, 12, 30, 35, 255)

Item = Dict[str, Any]


class DeliveryError(Exception):
    """This archive did not arrive; the message says why."""


class UnreachableError(DeliveryError):
    """Nothing would arrive at present, so the other archives need not be tried."""


class GoneError(Exception):
    """The recording is no longer on this node, so there is nothing to deliver."""


def write_durably(path: Path, text: str) -> None:
    """Replace a file whole, and have it on disk."""
    unfinished = path.with_name("." + path.name)
    with unfinished.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in it outlive a power cut."""
    descriptor = os.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """A file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def visible(directory: Path) -> List[Path]:
    """A directory's finished files, sorted."""
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


class Archive:
    """Builds one format's archive from the published tree."""

    def __init__(self, recordings: Path, outbox: Path, name: str) -> None:
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(name)
        self.record, self.format = match["record"], match["format"]
        self.path = outbox / (name + ".tar")
        self._recordings = recordings

    def source(self) -> Path:
        """Where the format lies now. Raises GoneError."""
        for tree in ("published", "unpublished"):
            folder = self._recordings / tree / self.format / self.record
            if (folder / "metadata.xml").is_file():
                return folder
        raise GoneError("neither published nor unpublished on this node")

    def build(self) -> None:
        """Write the archive; a broken attempt leaves none. Raises GoneError, DeliveryError, OSError."""
        source = self.source()
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        free = shutil.disk_usage(str(self.path.parent)).free
        if free < size + RESERVE:
            raise DeliveryError(f"no room on this node: {size + RESERVE} bytes are needed, {free} are free")
        unfinished = self.path.with_name("." + self.path.name)
        with unfinished.open("wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                archive.add(str(source), arcname=self.format + "/" + self.record, filter=_plain)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.rename(self.path)

    def digest(self) -> str:
        """SHA-256 of the archive."""
        return file_digest(self.path)


def _plain(member: tarfile.TarInfo) -> Optional[tarfile.TarInfo]:
    # Links and devices are no part of a recording, and the importer refuses them.
    if not (member.isfile() or member.isdir()):
        print(f"left out {member.name}: neither a file nor a folder")
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() else 0o644
    return member


class SshTransport:
    """rsync into this node's place on the storage host, then the gate's word that it arrived whole."""

    def __init__(self, settings: Dict[str, Any]) -> None:
        self._ssh = ["ssh", "-F", settings["ssh_config"], "-o", "BatchMode=yes"]
        self._host = "bbb-fleet-spool"
        self._limit = settings.get("bandwidth_limit_kib", 0)

    def check(self) -> str:
        """Ask for room for nothing. Raises DeliveryError."""
        return "the storage host has {} bytes free".format(self._gate("offer", "0-0-check.tar", "0")["free"])

    def deliver(self, archive: Path, size: int, digest: str) -> None:
        """Raises DeliveryError unless the archive arrived whole."""
        self._gate("offer", archive.name, str(size))
        command = ["rsync", "--inplace", "--timeout=60", "--rsh=" + " ".join(self._ssh)]
        if self._limit:
            command.append(f"--bwlimit={self._limit}")
        # The folder as the target, not the file: rrsync holds a file that is there open and cannot replace it.
        self._run([*command, str(archive), self._host + ":"])
        receipt = self._gate("commit", archive.name, str(size), digest)
        if receipt.get("size") != size:
            raise DeliveryError(f"the storage host took {receipt.get('size')} of {size} bytes")

    def _gate(self, *words: str) -> Dict[str, Any]:
        output = self._run([*self._ssh, self._host, *words], accept=(0, 3))
        try:
            answer: Dict[str, Any] = json.loads(output)
        except ValueError:
            raise DeliveryError("the storage host's gate did not answer in JSON") from None
        if answer["state"] == "refused":
            raise DeliveryError("refused by the storage host: " + answer["reason"])
        return answer

    @staticmethod
    def _run(command: List[str], accept: Any = (0,)) -> str:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode in accept:
            return done.stdout
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        message = f"{command[0]} ended with {done.returncode}: {reason}"
        raise (UnreachableError if done.returncode in UNREACHABLE else DeliveryError)(message)


class NfsTransport:
    """A copy into the mounted spool under a hidden name, synced, measured, then given its name in the inbox."""

    MARKER = ".bbb-fleet-spool"
    #: An archive of the same name may go, and another come, at every look.
    LOOKS = 10

    def __init__(self, settings: Dict[str, Any]) -> None:
        self._spool = Path(settings["spool"])

    def check(self) -> str:
        """Say whether the share is there. Raises UnreachableError."""
        # Without it the spool would be a folder of this node's own disk, where nobody looks.
        try:
            missing = "" if (self._spool / self.MARKER).is_file() else "is missing"
        except PermissionError:
            # The empty mount point is locked.
            missing = "is out of reach (permission denied)"
        if missing:
            raise UnreachableError(f"{self._spool} is not mounted: {self.MARKER} {missing}")
        return f"{self._spool} is mounted, {shutil.disk_usage(str(self._spool)).free} bytes free"

    def deliver(self, archive: Path, size: int, digest: str) -> None:
        """Raises DeliveryError unless the archive arrived whole."""
        self.check()
        try:
            self._forget_leftovers(archive.name)
            # Looked for before the copy too, which may be of gigabytes and all for nothing.
            if not self._waits(archive.name, size, digest):
                self._bring(archive, size, digest)
            sync_directory(self._spool)
        except OSError as error:
            raise DeliveryError(f"the spool cannot be written: {error}") from error

    def _bring(self, archive: Path, size: int, digest: str) -> None:
        """Copy an archive and have it enter the inbox. Raises DeliveryError, OSError."""
        free = shutil.disk_usage(str(self._spool)).free
        if free < size * 2 + RESERVE:
            raise DeliveryError(f"no room in the spool: {free} bytes are free")
        # A name of its own for each attempt: a cloned node has the same host name.
        arriving = self._spool / f"{self._hidden(archive.name)}~{secrets.token_hex(8)}"
        try:
            copied = self._copy(archive, arriving)
            if copied != digest or arriving.stat().st_size != size:
                raise DeliveryError("the copy in the spool is not what was sent")
            arriving.chmod(0o664)
            self._enter(arriving, archive.name, size, digest)
            # Before the other name goes: no power cut leaves it without one.
            sync_directory(self._spool)
        finally:
            arriving.unlink(missing_ok=True)

    @staticmethod
    def _hidden(name: str) -> str:
        """How the names of an archive's copies from this node begin."""
        return f".{name}.{os.uname().nodename}"

    def _forget_leftovers(self, name: str) -> None:
        """Remove what attempts that were cut off left, be it a second name of an archive that entered."""
        for path in self._spool.iterdir():
            if path.name.partition("~")[0] == self._hidden(name):
                path.unlink(missing_ok=True)

    def _enter(self, arriving: Path, name: str, size: int, digest: str) -> None:
        """Give a copy its name in the inbox, unless the same waits there already. Raises DeliveryError, OSError."""
        for _ in range(self.LOOKS):
            try:
                # Not a rename: that would replace an archive, which nobody may be able to make again.
                os.link(str(arriving), str(self._spool / name))
            except FileExistsError:
                # An NFS server may have done it and lost the answer.
                if self._waits(name, size, digest):
                    return
            else:
                return
        raise DeliveryError("archives of that name come and go too fast in the spool; the delivery is tried again")

    def _waits(self, name: str, size: int, digest: str) -> bool:
        """Whether the inbox has an archive of these very bytes. Raises DeliveryError where it has another."""
        waiting = self._spool / name
        try:
            same = waiting.stat().st_size == size and file_digest(waiting) == digest
        except OSError as error:
            # Taken by the importer meanwhile; on NFS even under the eyes of who reads it.
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return False
            raise
        if not same:
            raise DeliveryError(
                "another archive of that name still waits for the importer; the delivery is tried again"
            )
        return True

    @staticmethod
    def _copy(archive: Path, target: Path) -> str:
        """Copy, sync, and give the SHA-256 of what can be read back."""
        with archive.open("rb") as source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
        return file_digest(target)


class Handover:
    """The queue on disk, and one pass over it."""

    def __init__(self, settings: Dict[str, Any], transport: Any, now: Callable[[], float] = time.time) -> None:
        self._state = Path(settings["state_directory"])
        self._recordings = Path(settings["recordings"])
        self._retry, self._retry_limit = settings["retry_seconds"], settings["retry_limit_seconds"]
        self._transport = transport
        self._now = now

    def directory(self, name: str) -> Path:
        """One of the queue's directories."""
        return self._state / name

    def run_once(self) -> bool:
        """Take notes in, deliver what is due; True when nothing is left undelivered."""
        self.take_notes()
        self.search()
        for item in self.due():
            if not self._attempt(item):
                break
            self.take_notes()
        return not visible(self.directory("pending"))

    def search(self) -> None:
        """Note what BigBlueButton published since this agent came, should its hook have failed to."""
        since = self._state.joinpath("installed").stat().st_mtime
        for done in (self._recordings / "recording/status/published").glob("*-*.done"):
            name = done.stem
            known = any((self.directory(place) / (name + ".json")).exists() for place in ("pending", "delivered"))
            if NAME.fullmatch(name) and not known and done.stat().st_mtime > since:
                self.enqueue(name)

    def take_notes(self) -> None:
        """Move the hook's notes into the queue; a newer note has its archive built anew."""
        for note in visible(self.directory("inbox")):
            if NAME.fullmatch(note.name):
                self.enqueue(note.name)
            else:
                print(f"dropped note {note.name!r}: not a recording and a format")
            note.unlink()

    def enqueue(self, name: str) -> None:
        """Queue one format, due at once."""
        archive = self.directory("outbox") / (name + ".tar")
        if archive.exists():
            archive.unlink()
        item = {"version": 1, "name": name, "attempts": 0, "next_try": 0, "queued": self._now(), "error": None}
        self._keep(item)
        print(f"queued {name}")

    def items(self, place: str) -> Iterator[Item]:
        """What a directory of the queue holds."""
        for path in visible(self.directory(place)):
            item: Item = json.loads(path.read_text(encoding="utf-8"))
            yield item

    def due(self) -> List[Item]:
        """The items to try now, the longest waiting first."""
        waiting = [item for item in self.items("pending") if item["next_try"] <= self._now()]
        return sorted(waiting, key=lambda item: (item["attempts"], item["queued"]))

    def _attempt(self, item: Item) -> bool:
        """Try one item; False when trying others is of no use now."""
        try:
            self._deliver(item)
        except GoneError as error:
            self._finish(item, "gone", f"not handed over: {error}")
        except UnreachableError as error:
            self._postpone(item, error)
            return False
        except (DeliveryError, OSError) as error:
            self._postpone(item, error)
        return True

    def _deliver(self, item: Item) -> None:
        archive = Archive(self._recordings, self.directory("outbox"), item["name"])
        if not archive.path.exists():
            archive.build()
        size, digest = archive.path.stat().st_size, archive.digest()
        self._transport.deliver(archive.path, size, digest)
        item.update(size=size, sha256=digest)
        self._finish(item, "delivered", f"delivered, {size} bytes, attempt {item['attempts'] + 1}")

    def _finish(self, item: Item, outcome: str, message: str) -> None:
        item.update(outcome=outcome, finished=self._now(), error=None)
        write_durably(self.directory("delivered") / (item["name"] + ".json"), json.dumps(item))
        archive = self.directory("outbox") / (item["name"] + ".tar")
        if archive.exists():
            archive.unlink()
        (self.directory("pending") / (item["name"] + ".json")).unlink()
        print("{}: {}".format(item["name"], message))

    def _postpone(self, item: Item, error: Exception) -> None:
        item["attempts"] += 1
        pause = min(self._retry_limit, self._retry * 2 ** min(item["attempts"] - 1, 16))
        item.update(next_try=self._now() + pause, error=str(error))
        self._keep(item)
        print(f"{item['name']}: attempt {item['attempts']} failed, next in {pause} s: {error}")

    def _keep(self, item: Item) -> None:
        write_durably(self.directory("pending") / (item["name"] + ".json"), json.dumps(item))


def status(handover: Handover, as_json: bool) -> None:
    """Print the queue for people or machines."""
    pending, notes = list(handover.items("pending")), [path.name for path in visible(handover.directory("inbox"))]
    delivered = [item for item in handover.items("delivered") if item["outcome"] == "delivered"]
    if as_json:
        answer = {"version": 1, "noted": notes, "pending": pending, "delivered": delivered}
        print(json.dumps(answer))
        return
    print(f"{len(notes)} noted, {len(pending)} waiting, {len(delivered)} delivered")
    for item in pending:
        print(f"  {item['name']}  attempts {item['attempts']}  {item['error'] or 'due'}")


def become_owner(user: str) -> None:
    """Root hands on to the account that owns the queue, so that no file in it ends up as root's."""
    if os.geteuid() == 0 and pwd.getpwnam(user).pw_uid != 0:
        os.chdir("/")
        command = ["runuser", "-u", user, "--", sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
        os.execvp(command[0], command)  # noqa: S606 (no shell is wanted)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bbb-fleet-handover", description="Hands recordings over to the fleet.")
    parser.add_argument("--configuration", default=CONFIGURATION)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    verbs.add_parser("run", help="deliver what is due, once")
    shown = verbs.add_parser("status", help="show what waits and what arrived")
    shown.add_argument("--format", choices=["text", "json"], default="text")
    verbs.add_parser("check", help="ask the spool whether it would take an archive")
    queued = verbs.add_parser("enqueue", help="hand a recording over again, such as one from before the fleet")
    queued.add_argument("name", metavar="RECORDID-FORMAT")
    return parser.parse_args()


def main() -> int:
    """Run the command line; the exit status is 1 only when a check or a request failed."""
    options = arguments()
    settings = json.loads(Path(options.configuration).read_text(encoding="utf-8"))
    become_owner(settings["user"])
    os.umask(0o027)
    transport = (SshTransport if settings["transport"] == "ssh" else NfsTransport)(settings)
    handover = Handover(settings, transport)
    if options.verb == "status":
        status(handover, options.format == "json")
        return 0
    if options.verb == "check":
        try:
            print(transport.check())
        except DeliveryError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    if options.verb == "enqueue":
        if not NAME.fullmatch(options.name):
            print(f"{options.name} is not RECORDID-FORMAT", file=sys.stderr)
            return 1
        (handover.directory("inbox") / options.name).touch()
        return 0
    with handover.directory("lock").open("w") as lock:
        # One pass at a time: the timer, the path unit and an operator may meet.
        fcntl.flock(lock, fcntl.LOCK_EX)
        handover.run_once()
    return 0


if __name__ == "__main__":
    sys.exit(main())
