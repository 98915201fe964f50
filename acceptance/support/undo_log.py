"""What a run must undo. Each change is written to disk before it is made, so the run after a crash can undo it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


class UndoLogError(RuntimeError):
    """The undo log cannot be read or is in use; the text names the file and the remedy."""


@dataclass(frozen=True)
class Change:
    """One thing to undo.

    kind: `node-state`, `meeting`, `node-meeting` or `recording`.
    before: what undoing needs: a node's former state, a meeting's password, the Unix time of a recording.
    """

    kind: str
    name: str
    before: str = ""


class UndoLog:
    """An append-only file of changes. A second line marks a change as undone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_torn_line(path)
        self._pending: dict[tuple[str, str], Change] = dict(_read(path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks out a second run with the same environment, which would undo what this one needs."""
        with self.path.with_suffix(".lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UndoLogError(
                    f"{self.path}: another run uses this environment; wait until it has ended"
                ) from error
            yield

    def will_change(self, kind: str, name: str, before: str = "") -> None:
        """Records a change before it is made. Only the first change of a thing is kept: it has the original value."""
        if (kind, name) not in self._pending:
            change = Change(kind, name, before)
            self._write({"do": asdict(change)})
            self._pending[(kind, name)] = change

    def undone(self, kind: str, name: str) -> None:
        """Records that a change was undone; deletes the file if that was the last one."""
        if self._pending.pop((kind, name), None) is None:
            return
        if self._pending:
            self._write({"done": {"kind": kind, "name": name}})
        else:
            self.path.unlink(missing_ok=True)

    def pending(self, kind: str) -> list[Change]:
        """The changes that are not undone yet, newest first."""
        return [change for change in reversed(self._pending.values()) if change.kind == kind]

    def _write(self, line: dict[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    # The run crashed while it wrote the line, so the change was never made.
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
            raise UndoLogError(
                f"{path}, line {number}: not JSON; undo the changes by hand, then delete the file"
            ) from error
        if "do" in entry:
            change = Change(**entry["do"])
            changes[(change.kind, change.name)] = change
        else:
            changes.pop((entry["done"]["kind"], entry["done"]["name"]), None)
    yield from changes.items()
