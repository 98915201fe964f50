"""Tenants in PostgreSQL. The default tenant's secrets are settings; it is the only one so far."""

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("tenants")


def names(connection: Connection) -> dict[int, str]:
    """Every tenant's name, by its id."""
    return {row["id"]: row["name"] for row in connection.execute(_SQL["all"])}
