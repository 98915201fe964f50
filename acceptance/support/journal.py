"""What a run changed and must put back, written to disk before each change, so that the next run can after a crash."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


class JournalError(RuntimeError):
    """The journal cannot be read or is in use; the text names the file and the remedy."""


@dataclass(frozen=True)
class Change:
    """One thing to put back. `kind` is node-state, meeting, recording or file; `before` is what it was, if it was."""

    kind: str
    name: str
    before: str = ""


class Journal:
    """An append-only file of changes; an entry that was put back is crossed out by a second line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_torn_line(path)
        self._open: dict[tuple[str, str], Change] = dict(_read(path))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps a second run against the same environment out, which would put back what this one needs."""
        with self.path.with_suffix(".lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise JournalError(
                    f"{self.path}: another run uses this environment; wait until it has ended"
                ) from error
            yield

    def will_change(self, kind: str, name: str, before: str = "") -> None:
        """Notes a change that is about to be made; the first note of a thing wins, it holds the original value."""
        if (kind, name) not in self._open:
            change = Change(kind, name, before)
            self._write({"do": asdict(change)})
            self._open[(kind, name)] = change

    def put_back(self, kind: str, name: str) -> None:
        """Notes that a thing is as it was; the file goes away with its last entry."""
        if self._open.pop((kind, name), None) is None:
            return
        if self._open:
            self._write({"done": {"kind": kind, "name": name}})
        else:
            self.path.unlink(missing_ok=True)

    def pending(self, kind: str) -> list[Change]:
        """What has not been put back yet, newest first."""
        return [change for change in reversed(self._open.values()) if change.kind == kind]

    def _write(self, line: dict[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    # A crash in the middle of writing: the change that the line announces was never made.
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _read(path: Path) -> Iterator[tuple[tuple[str, str], Change]]:
    if not path.exists():
        return
    changes: dict[tuple[str, str], Change] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise JournalError(
                f"{path}, line {number}: not JSON; look at it, put things back by hand, delete it"
            ) from error
        if "do" in entry:
            change = Change(**entry["do"])
            changes[(change.kind, change.name)] = change
        else:
            changes.pop((entry["done"]["kind"], entry["done"]["name"]), None)
    yield from changes.items()
