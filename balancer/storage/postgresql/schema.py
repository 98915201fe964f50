"""The schema: numbered migrations, each applied once and in order, then functions, replaced when their text changes.

``migrations/NNNN_pre_words.sql`` may run while the previous release is still at work, ``NNNN_post_words.sql`` only once
it is gone. ``functions/NAME.sql`` creates or replaces the function NAME and its triggers.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

import psycopg.errors

from balancer.errors import BalancerError
from balancer.storage.postgresql.database import Connection

#: Key of the advisory lock: one migration run at a time in the whole cluster.
_LOCK = 0x6262_6266_6C65_6574
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    digest text  -- of a function's text, else NULL
)
"""
#: While a migration waits for a table, every later query of that table waits behind it.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '3s'"
_RECORD = """
INSERT INTO schema_migrations (name, digest) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, applied_at = excluded.applied_at
"""


class SchemaError(BalancerError):
    """The database's schema does not fit this release, or could not be changed."""


@dataclass(frozen=True)
class Migration:
    name: str
    sql: str
    digest: str | None = None  #: of a function's text: it is applied again when this changes


def migrations() -> list[Migration]:
    """All that this release ships, in order: numbered migrations, then functions, named ``function NAME``."""
    numbered = [Migration(name, sql) for name, sql in _texts("migrations")]
    functions = [
        Migration(f"function {name}", sql, hashlib.sha256(sql.encode()).hexdigest())
        for name, sql in _texts("functions")
    ]
    return numbered + functions


def _texts(folder: str) -> list[tuple[str, str]]:
    """Names and contents of the folder's .sql files, by name."""
    entries = (files("balancer.storage.postgresql") / folder).iterdir()
    return sorted(
        (entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
        for entry in entries
        if entry.name.endswith(".sql")
    )


def applied(connection: Connection) -> list[str]:
    """Names of the migrations and functions that the database has, in order."""
    return list(_digests(connection))


def _digests(connection: Connection) -> dict[str, str | None]:
    """What the database has: digests by name."""
    table = connection.execute("SELECT to_regclass('schema_migrations') AS name").fetchone()
    if table is None or table["name"] is None:
        return {}
    rows = connection.execute("SELECT name, digest FROM schema_migrations ORDER BY digest IS NOT NULL, name")
    return {row["name"]: row["digest"] for row in rows}


def pending(connection: Connection, *, upgrading: bool = False) -> list[Migration]:
    """What is still to be applied. Raises SchemaError if the database belongs to a newer release.

    upgrading: accept a newer release's ``pre`` migrations and functions, because this release works beside them.
    """
    shipped, done = migrations(), _digests(connection)
    foreign = {name for name, digest in done.items() if digest is None} - {migration.name for migration in shipped}
    if upgrading:
        foreign = {name for name in foreign if not name.partition("_")[2].startswith("pre_")}
    if foreign:
        raise SchemaError(f"the database has migrations of a newer release: {', '.join(sorted(foreign))}")
    if upgrading:
        return [migration for migration in shipped if migration.name not in done]
    return [migration for migration in shipped if done.get(migration.name, "") != migration.digest]


def migrate(connection: Connection) -> list[str]:
    """Apply what is pending, each in a transaction of its own; returns the names applied.

    Raises SchemaError if a migration cannot lock a table in time. The migrations before it stay applied.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    connection.commit()
    try:
        connection.execute(_TABLE)
        todo = pending(connection)
        connection.commit()
        for migration in todo:
            _apply(connection, migration)
        return [migration.name for migration in todo]
    finally:
        connection.rollback()
        connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        connection.commit()


def _apply(connection: Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(_LOCK_TIMEOUT)
            # As bytes, because only those may hold several statements.
            connection.execute(migration.sql.encode())
            connection.execute(_RECORD, [migration.name, migration.digest])
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise SchemaError(
            f"{migration.name} was not applied: a table that it changes is in use."
            " Nothing was left half done: try again in a moment"
        ) from None
