"""An importer in a process of its own that is killed, as kill -9 does it, right before its n-th step.

A step is a change below the share (seen by an audit hook) or a statement or commit sent to PostgreSQL. The process is
forked, so that hundreds of them are quick; only the child counts and dies.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import psycopg

from balancer.importing.importer import Importer
from balancer.settings import Settings
from balancer.storage.postgresql.database import Database

_EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "shutil.rmtree"}
#: Steps that one run may have; an importer that does more has lost its way.
MANY = 5000


def run(settings: Settings, kill_before: int) -> int | None:
    """Let a new importer work until nothing is due; returns the signal that ended it, or None if it finished."""
    child = os.fork()
    if child == 0:
        _work(settings, kill_before)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "the importer failed by itself"
    return None


def _work(settings: Settings, kill_before: int) -> None:
    status = 1
    try:
        database = Database(settings.database_url, application_name="killed", size=2)
        database.open()
        importer = Importer(settings, database)
        _count_steps(str(settings.recordings_root), kill_before)
        while importer.run_once():
            pass
        status = 0
    finally:
        # Neither pytest's nor the parent's clean-up belongs to this process.
        os._exit(status)


def _count_steps(root: str, kill_before: int) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and _writes(event, arguments) and _inside(root, arguments):
            step()

    sys.addaudithook(hook)
    for owner, name in [(psycopg.Connection, "commit"), (psycopg.Connection, "execute"), (psycopg.Cursor, "execute")]:
        setattr(owner, name, _before(step, getattr(owner, name)))


def _before(step: Callable[[], None], call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        step()
        return call(*arguments, **named)

    return counted


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    return event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


def _inside(root: str, arguments: tuple[Any, ...]) -> bool:
    # shutil.rmtree works with names relative to open directories: those have no slash.
    names = [os.fspath(each) for each in arguments[:2] if isinstance(each, str | os.PathLike)]
    return any(str(name).startswith(root) or "/" not in str(name) for name in names)
