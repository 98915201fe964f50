"""The settings and connections of a command, created when first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import click

from balancer import log
from balancer.core.nodes import Snapshot
from balancer.errors import BalancerError, StorageUnavailableError
from balancer.registry_copy import RegistryCopy
from balancer.settings import Settings, load
from balancer.storage.announcer import Announcer
from balancer.storage.postgresql import schema
from balancer.storage.postgresql.database import Connection, Database, connect, unavailable_as_ours
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Whereabouts


class SchemaPendingError(BalancerError):
    """The database lacks migrations of this release."""


class Session:
    """The settings and connections of one command."""

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        settings = load()
        log.configure(settings.log_level, settings.log_format)
        return settings

    @cached_property
    def redis(self) -> redis_client.Redis:
        return redis_client.connect(self.settings.redis_url)

    def close(self) -> None:
        if "redis" in vars(self):
            self.redis.close()

    @contextmanager
    def bare_connection(self) -> Iterator[Connection]:
        """A connection to a database with any schema version; commits at the end. Raises StorageUnavailableError."""
        with unavailable_as_ours(), connect(self.settings.database_url, options="-c timezone=UTC") as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, to a database that has this release's schema.

        Raises StorageUnavailableError, SchemaError and SchemaPendingError.
        """
        with self.bare_connection() as connection:
            there = schema.applied(connection)
            # A function with another text may be a newer release's, which migrating with this release would take back.
            missing = [migration.name for migration in schema.pending(connection) if migration.name not in there]
            if missing:
                names = ", ".join(missing)
                raise SchemaPendingError(f"the database lacks {names}: run `balancer database migrate` first")
            yield connection

    def snapshots(self) -> dict[int, Snapshot]:
        """The nodes' snapshots. If Redis is away, none, and a warning on standard error."""
        try:
            return Snapshots(self.redis).all()
        except StorageUnavailableError as error:
            click.echo(f"balancer: {error}: the nodes' load is unknown", err=True)
            return {}

    @property
    def announcer(self) -> Announcer:
        return Announcer(Whereabouts(self.redis), PollRequests(self.redis))

    def nodes_changed(self) -> None:
        """After a change to nodes is committed: rewrite this host's registry file and request a poll of changed nodes.

        Raises StorageUnavailableError if PostgreSQL is away by now.
        """
        database = Database(self.settings.database_url, application_name="balancer-cli", size=1)
        database.open()
        try:
            RegistryCopy(self.settings, database, self.redis).refresh()
        finally:
            database.close()
        try:
            PollRequests(self.redis).ask()
        except StorageUnavailableError as error:
            click.echo(f"balancer: {error}: the poller sees the change within its interval", err=True)
