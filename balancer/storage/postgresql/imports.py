"""Imports of archives, in PostgreSQL: the worker of each, its attempts, and how it ended."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from psycopg.rows import DictRow, class_row

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("imports")


@dataclass(frozen=True)
class Import:
    """An import that a worker owns. faults: failed attempts that the archive itself may have caused.

    size_bytes: the archive's size at the previous attempt, None at the first.
    """

    id: int
    archive: str
    attempts: int
    faults: int
    size_bytes: int | None


@dataclass(frozen=True)
class ImportState:
    """An import's state, for cleaning up what a crash may have left of it."""

    id: int
    state: str
    archive: str
    reason: str


def open_import(connection: Connection, archive: str, worker: str, lease_seconds: float) -> Import:
    """Insert a row owned by the worker (HOST:PID:START), for the archive that it is about to claim."""
    values = {"archive": archive, "worker": worker, "host": worker.partition(":")[0], "lease": lease_seconds}
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        row = cursor.execute(_SQL["open"], values).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert
    return row


def drop(connection: Connection, import_id: int, worker: str) -> None:
    """Delete an import whose archive another worker claimed."""
    connection.execute(_SQL["drop"], {"id": import_id, "worker": worker})


def take_up(connection: Connection, worker: str, gone: Collection[str], lease_seconds: float) -> Import | None:
    """Take over the next import that is due, or whose worker is gone; gone: workers known to have ended."""
    values = {
        "worker": worker,
        "host": worker.partition(":")[0],
        "gone": [*gone, worker],
        "lease": lease_seconds,
    }
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        return cursor.execute(_SQL["take_up"], values).fetchone()


def workers(connection: Connection, host: str) -> list[str]:
    """The workers on a host that own imports."""
    return [row["worker"] for row in connection.execute(_SQL["workers"], {"host": host})]


def renew(connection: Connection, import_id: int, worker: str, lease_seconds: float) -> bool:
    """Extend the lease of an import; False: it is no longer this worker's."""
    values = {"id": import_id, "worker": worker, "lease": lease_seconds}
    return connection.execute(_SQL["renew"], values).rowcount == 1


def describe(connection: Connection, import_id: int, worker: str, record_id: str, size_bytes: int, sha256: str) -> None:
    """Record the archive's recording, size and digest."""
    connection.execute(
        _SQL["describe"],
        {"id": import_id, "worker": worker, "record_id": record_id, "size_bytes": size_bytes, "sha256": sha256},
    )


def finish(connection: Connection, import_id: int, worker: str, *, state: str, reason: str) -> bool:
    """Close an import as "done" or "refused"; False: it is no longer this worker's, so roll back."""
    values = {"id": import_id, "worker": worker, "state": state, "reason": reason}
    return connection.execute(_SQL["finish"], values).rowcount == 1


def wait(
    connection: Connection,
    import_id: int,
    worker: str,
    *,
    delay_seconds: float,
    reason: str,
    fault: bool = False,
    size_bytes: int | None = None,
) -> None:
    """Postpone an import; fault: the archive itself may be the cause."""
    connection.execute(
        _SQL["wait"],
        {
            "id": import_id,
            "worker": worker,
            "delay": delay_seconds,
            "reason": reason,
            "fault": int(fault),
            "size_bytes": size_bytes,
        },
    )


def same_before(connection: Connection, import_id: int, record_id: str, size_bytes: int, sha256: str) -> bool:
    """Whether an identical archive was imported before."""
    values = {"id": import_id, "record_id": record_id, "size_bytes": size_bytes, "sha256": sha256}
    row = connection.execute(_SQL["same_before"], values).fetchone()
    return bool(row and row["known"])


def states(connection: Connection, ids: Iterable[int]) -> dict[int, ImportState]:
    """Imports by id; unknown ids are absent."""
    with connection.cursor(row_factory=class_row(ImportState)) as cursor:
        return {each.id: each for each in cursor.execute(_SQL["states"], {"ids": list(ids)})}


def queue(connection: Connection, *, refused_days: float = 30, limit: int = 1000) -> list[DictRow]:
    """Open imports and recently refused ones, newest first, for operators."""
    return connection.execute(_SQL["queue"], {"refused_days": refused_days, "limit": limit}).fetchall()


def of_recording(connection: Connection, record_id: str) -> list[DictRow]:
    """A recording's imports, oldest first, for operators."""
    return connection.execute(_SQL["of_recording"], {"record_id": record_id}).fetchall()
