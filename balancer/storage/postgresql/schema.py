"""The schema: numbered migrations, each applied once, in order, under a lock.

``NNNN_pre_words.sql`` may run while the release before still works, ``NNNN_post_words.sql`` only once it is gone.
"""

from dataclasses import dataclass
from importlib.resources import files

import psycopg.errors

from balancer.errors import BalancerError
from balancer.storage.postgresql.database import Connection

#: Key of the advisory lock: one migration run at a time in the whole cluster.
_LOCK = 0x6262_6266_6C65_6574


class SchemaError(BalancerError):
    """The database's schema and this release do not belong together."""


@dataclass(frozen=True)
class Migration:
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All migrations that this release ships, in order."""
    folder = files("balancer.storage.postgresql") / "migrations"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [Migration(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")) for entry in found]


def applied(connection: Connection) -> list[str]:
    """Names of the migrations that the database has, in order."""
    there = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL AS there").fetchone()
    if not (there and there["there"]):
        return []
    return [row["name"] for row in connection.execute("SELECT name FROM schema_migrations ORDER BY name")]


def pending(connection: Connection, *, upgrading: bool = False) -> list[Migration]:
    """Migrations still to be applied. Raises SchemaError where the database is of a newer release.

    upgrading: a newer release's ``pre`` migrations may be there, beside which this one goes on working.
    """
    known, done = migrations(), set(applied(connection))
    foreign = done - {migration.name for migration in known}
    if upgrading:
        foreign = {name for name in foreign if not name.partition("_")[2].startswith("pre_")}
    if foreign:
        raise SchemaError(f"the database has migrations of a newer release: {', '.join(sorted(foreign))}")
    return [migration for migration in known if migration.name not in done]


def migrate(connection: Connection) -> list[str]:
    """Apply what is pending, each in a transaction of its own; gives the names applied.

    Raises SchemaError, with the migrations before applied, where one waits in vain for a table.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    connection.commit()
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
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
            # bytes: a file of several statements, with no parameters, is sent as it stands.
            connection.execute(migration.sql.encode())
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [migration.name])
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise SchemaError(
            f"{migration.name} was not applied: others are at work on a table that it changes."
            " Nothing is half done: run it again in a moment"
        ) from None
