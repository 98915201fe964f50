"""Statements that every create sends: prepared once for a connection, then sent and awaited by libpq itself.

psycopg's cursors wait in Python: several system calls and turns of the interpreter for what is one here. The price is
that values go and come as text.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
import psycopg.errors
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from balancer.storage.postgresql.database import Connection

_NAMED = re.compile(r"%\((\w+)\)s")


class Prepared:
    """One statement, prepared where it stands outside a transaction.

    Threads share it; a connection is one's own, and in no pipeline.
    """

    def __init__(self, name: str, query: str) -> None:
        """query: with ``%(name)s`` for values, as psycopg takes it, and no other ``%``."""
        self._names = tuple(dict.fromkeys(_NAMED.findall(query)))
        self._name = name.encode()
        self._query = _NAMED.sub(lambda found: f"${self._names.index(found[1]) + 1}", query).encode()

    def row(self, connection: Connection, values: Mapping[str, object]) -> list[str | None]:
        """The one row that it returns, each column as PostgreSQL writes it.

        values: None, or what ``str`` writes as PostgreSQL reads it: texts, numbers, booleans. Raises psycopg.Error.
        """
        found = self._execute(connection, values)
        row = (found.get_value(0, column) for column in range(found.nfields))
        return [None if text is None else text.decode() for text in row]

    def changed(self, connection: Connection, values: Mapping[str, object]) -> int:
        """How many rows it changed; values: as of ``row``. Raises psycopg.Error."""
        return self._execute(connection, values).command_tuples or 0

    def _execute(self, connection: Connection, values: Mapping[str, object]) -> PGresult:
        server = connection.pgconn
        texts: list[Any] = [_as_text(values[name]) for name in self._names]
        if not connection.autocommit:
            if server.transaction_status == TransactionStatus.IDLE:
                _sound(connection, server.exec_(b"BEGIN"))
            # A statement that is not there any more would end the transaction.
            return _sound(connection, server.exec_params(self._query, texts))
        if self._name in connection.prepared:
            # With some rollbacks psycopg drops whatever is prepared.
            with suppress(psycopg.errors.InvalidSqlStatementName):
                return _sound(connection, server.exec_prepared(self._name, texts))
        _sound(connection, server.prepare(self._name, self._query))
        connection.prepared.add(self._name)
        return _sound(connection, server.exec_prepared(self._name, texts))


def _as_text(value: object) -> bytes | None:
    if value is None:
        return None
    text = str(value).encode()
    if b"\0" in text:
        raise psycopg.DataError("PostgreSQL text cannot hold NUL")  # and libpq would end it there
    return text


def _sound(connection: Connection, result: PGresult) -> PGresult:
    """The result. Raises what psycopg raises where it is an error."""
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if connection.pgconn.status == ConnStatus.BAD:
        raise psycopg.OperationalError(result.get_error_message())
    raise psycopg.errors.error_from_result(result)
