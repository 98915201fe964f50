#!/usr/bin/python3
"""Delivers a node's published recordings to the fleet's spool. Runs on Python 3.8 with its standard library alone.

BigBlueButton's hook notes a finished format in ``inbox/``. ``run`` moves the notes to ``pending/``, builds one archive
``RECORDID-FORMAT.tar`` with the members ``FORMAT/RECORDID/…`` (Scalelite's layout) and delivers it. A failed delivery
is retried with growing pauses until the archive has arrived completely. ``delivered/`` lists what arrived. None of
BigBlueButton's files is deleted.
"""

import argparse
import fcntl
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

import spool_entry
from spool_entry import file_digest, sync_directory

CONFIGURATION = "/etc/bbb-fleet/handover.json"
NAME = re.compile(f"(?P<record>{spool_entry.RECORD_ID})-(?P<format>{spool_entry.FORMAT})")
#: Bytes that stay free on the node's disk and in the spool.
RESERVE = 256 * 1024 * 1024
#: Exit codes of rsync and ssh that concern the connection and not the archive.
UNREACHABLE = (10, 12, 30, 35, 255)

Item = Dict[str, Any]


class DeliveryError(Exception):
    """This archive was not delivered; the message says why."""


class UnreachableError(DeliveryError):
    """The spool cannot be reached, so trying the other archives is of no use either."""


class GoneError(Exception):
    """The recording is no longer on this node, so there is nothing to deliver."""


def write_durably(path: Path, text: str) -> None:
    """Replace a file atomically and sync it to disk."""
    unfinished = path.with_name("." + path.name)
    with unfinished.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(path)
    sync_directory(path.parent)


def visible(directory: Path) -> List[Path]:
    """The files of a directory that are complete (their names begin without a dot), sorted."""
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
        """The directory that holds the format now. Raises GoneError."""
        for tree in ("published", "unpublished"):
            directory = self._recordings / tree / self.format / self.record
            if (directory / "metadata.xml").is_file():
                return directory
        raise GoneError("neither published nor unpublished on this node")

    def build(self) -> None:
        """Write the archive; a failed attempt leaves none. Raises GoneError, DeliveryError, OSError."""
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
    # The importer refuses links and devices, which are not part of a recording.
    if not (member.isfile() or member.isdir()):
        print(f"left out {member.name}: neither a file nor a directory")
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() else 0o644
    return member


class SshTransport:
    """rsync into this node's directory on the storage host, then the gate's receipt for the complete archive."""

    def __init__(self, settings: Dict[str, Any]) -> None:
        self._ssh = ["ssh", "-F", settings["ssh_config"], "-o", "BatchMode=yes"]
        self._host = "bbb-fleet-spool"
        self._limit = settings.get("bandwidth_limit_kib", 0)

    def check(self) -> str:
        """Return the storage host's free space as text. Raises DeliveryError."""
        return "the storage host has {} bytes free".format(self._gate("offer", "0-0-check.tar", "0")["free"])

    def deliver(self, archive: Path, size: int, digest: str) -> None:
        """Deliver one archive. Raises DeliveryError unless it arrived completely."""
        self._gate("offer", archive.name, str(size))
        command = ["rsync", "--inplace", "--timeout=60", "--rsh=" + " ".join(self._ssh)]
        if self._limit:
            command.append(f"--bwlimit={self._limit}")
        # The target is the directory: rrsync holds an existing target file open and could not replace it.
        self._run([*command, str(archive), self._host + ":"])
        receipt = self._gate("commit", archive.name, str(size), digest)
        if receipt.get("size") != size:
            raise DeliveryError(f"the storage host received {receipt.get('size')} of {size} bytes")

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
    """A copy into the mounted spool under a hidden name. It is synced and verified, then linked into the inbox."""

    MARKER = ".bbb-fleet-spool"

    def __init__(self, settings: Dict[str, Any]) -> None:
        self._spool = Path(settings["spool"])

    def check(self) -> str:
        """Return the spool's free space as text. Raises UnreachableError if the spool is not mounted."""
        # Without the mount the spool would be a directory on this node's own disk, which the importer never reads.
        try:
            missing = "" if (self._spool / self.MARKER).is_file() else "is missing"
        except PermissionError:
            # The empty mount point is locked.
            missing = "is out of reach (permission denied)"
        if missing:
            raise UnreachableError(f"{self._spool} is not mounted: {self.MARKER} {missing}")
        return f"{self._spool} is mounted, {shutil.disk_usage(str(self._spool)).free} bytes free"

    def deliver(self, archive: Path, size: int, digest: str) -> None:
        """Deliver one archive. Raises DeliveryError unless it arrived completely."""
        self.check()
        try:
            self._remove_leftovers(archive.name)
            # Checked before the copy too, because an unnecessary copy may be gigabytes.
            if not spool_entry.is_waiting(self._spool / archive.name, size, digest):
                self._copy_into_inbox(archive, size, digest)
            sync_directory(self._spool)
        except spool_entry.NameTakenError as error:
            raise DeliveryError(str(error)) from error
        except OSError as error:
            raise DeliveryError(f"the spool cannot be written: {error}") from error

    def _copy_into_inbox(self, archive: Path, size: int, digest: str) -> None:
        """Copy an archive and give it its name. Raises DeliveryError, NameTakenError, OSError."""
        free = shutil.disk_usage(str(self._spool)).free
        if free < size * 2 + RESERVE:
            raise DeliveryError(f"no room in the spool: {free} bytes are free")
        # Each attempt has its own name, because a cloned node has the same host name.
        arriving = self._spool / f"{self._hidden(archive.name)}~{secrets.token_hex(8)}"
        try:
            if copy_durably(archive, arriving) != digest or arriving.stat().st_size != size:
                raise DeliveryError("the copy in the spool differs from the archive")
            arriving.chmod(0o664)
            spool_entry.enter(arriving, self._spool / archive.name, size, digest)
            # Before the hidden name is removed, so that a power cut never leaves the archive without a name.
            sync_directory(self._spool)
        finally:
            arriving.unlink(missing_ok=True)

    @staticmethod
    def _hidden(name: str) -> str:
        """The beginning of the names of this node's unfinished copies of an archive."""
        return f".{name}.{os.uname().nodename}"

    def _remove_leftovers(self, name: str) -> None:
        """Remove what killed attempts left: incomplete copies, and second names of archives that entered."""
        for path in self._spool.iterdir():
            if path.name.partition("~")[0] == self._hidden(name):
                path.unlink(missing_ok=True)


def copy_durably(archive: Path, target: Path) -> str:
    """Copy and sync a file; return the SHA-256 of what can be read back. Raises OSError."""
    with archive.open("rb") as source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
        stream.flush()
        os.fsync(stream.fileno())
    return file_digest(target)


class Handover:
    """The queue on disk: notes in inbox/, items in pending/, archives in outbox/, finished items in delivered/."""

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
        """Queue the notes and deliver what is due; return whether the queue is empty afterwards."""
        self.take_notes()
        self.find_missed()
        for item in self.due():
            if not self._attempt(item):
                break
            self.take_notes()
        return not visible(self.directory("pending"))

    def find_missed(self) -> None:
        """Queue formats published since this agent was installed that the hook failed to note."""
        since = self._state.joinpath("installed").stat().st_mtime
        for done in (self._recordings / "recording/status/published").glob("*-*.done"):
            name = done.stem
            known = any((self.directory(place) / (name + ".json")).exists() for place in ("pending", "delivered"))
            if NAME.fullmatch(name) and not known and done.stat().st_mtime > since:
                self.enqueue(name)

    def take_notes(self) -> None:
        """Move the hook's notes into the queue; the archive of a queued format is built again."""
        for note in visible(self.directory("inbox")):
            if NAME.fullmatch(note.name):
                self.enqueue(note.name)
            else:
                print(f"dropped note {note.name!r}: not RECORDID-FORMAT")
            note.unlink()

    def enqueue(self, name: str) -> None:
        """Queue one format, due at once."""
        archive = self.directory("outbox") / (name + ".tar")
        if archive.exists():
            archive.unlink()
        item = {"version": 1, "name": name, "attempts": 0, "next_try": 0, "queued": self._now(), "error": None}
        self._save(item)
        print(f"queued {name}")

    def items(self, place: str) -> Iterator[Item]:
        """The items in a directory of the queue."""
        for path in visible(self.directory(place)):
            item: Item = json.loads(path.read_text(encoding="utf-8"))
            yield item

    def due(self) -> List[Item]:
        """The items to try now: fewest attempts first, then longest in the queue."""
        waiting = [item for item in self.items("pending") if item["next_try"] <= self._now()]
        return sorted(waiting, key=lambda item: (item["attempts"], item["queued"]))

    def _attempt(self, item: Item) -> bool:
        """Try one item; return False if trying others is of no use now."""
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
        self._save(item)
        print(f"{item['name']}: attempt {item['attempts']} failed, next in {pause} s: {error}")

    def _save(self, item: Item) -> None:
        write_durably(self.directory("pending") / (item["name"] + ".json"), json.dumps(item))


def status(handover: Handover, as_json: bool) -> None:
    """Print the queue as text or JSON."""
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
    """If root runs this, run it again as the queue's owner, so that root never owns a file in it."""
    if os.geteuid() == 0 and pwd.getpwnam(user).pw_uid != 0:
        os.chdir("/")
        command = ["runuser", "-u", user, "--", sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
        os.execvp(command[0], command)  # noqa: S606 (no shell is wanted)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bbb-fleet-handover", description="Delivers recordings to the fleet.")
    parser.add_argument("--configuration", default=CONFIGURATION)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    verbs.add_parser("run", help="deliver what is due, once")
    shown = verbs.add_parser("status", help="show what is waiting and what was delivered")
    shown.add_argument("--format", choices=["text", "json"], default="text")
    verbs.add_parser("check", help="check that the spool accepts archives")
    queued = verbs.add_parser("enqueue", help="deliver a recording again, or one from before the fleet")
    queued.add_argument("name", metavar="RECORDID-FORMAT")
    return parser.parse_args()


def main() -> int:
    """Run the command line; the exit status is 1 only if a check or a request failed."""
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
        # One pass at a time: the timer, the path unit and an operator may start one at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        handover.run_once()
    return 0


if __name__ == "__main__":
    sys.exit(main())
