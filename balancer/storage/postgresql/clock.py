"""PostgreSQL's clock: all times that are compared come from it."""

from datetime import datetime
from typing import cast

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("clock")


def now(connection: Connection) -> datetime:
    """The current time, not that of the transaction's start."""
    (row,) = connection.execute(_SQL["now"])
    return cast(datetime, row["now"])
