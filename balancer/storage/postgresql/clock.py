"""PostgreSQL's clock: the only one whose times are compared."""

from datetime import datetime
from typing import cast

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries


def now(connection: Connection) -> datetime:
    """The time at this moment, not at the transaction's begin."""
    (row,) = connection.execute(queries("clock")["now"])
    return cast(datetime, row["now"])
