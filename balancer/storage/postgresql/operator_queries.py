"""Read-only queries about meetings and recordings for the operators' commands."""

from collections.abc import Collection

from psycopg.rows import DictRow

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("operator_queries")

#: Rows shown of one meetingID: a room that is used every day has one for each day.
HISTORY_LIMIT = 50


def live(connection: Connection, node_id: int | None = None) -> list[DictRow]:
    """Live meetings on one node or on all, oldest first."""
    return connection.execute(_SQL["live"], {"node_id": node_id}).fetchall()


def history(connection: Connection, meeting_id: str, limit: int = HISTORY_LIMIT) -> list[DictRow]:
    """The rows of a meetingID, or the row of an internalMeetingID, newest first."""
    return connection.execute(_SQL["history"], {"id": meeting_id, "limit": limit}).fetchall()


def events(connection: Connection, ids: Collection[int]) -> list[DictRow]:
    """Every transition of these rows with its cause, oldest first."""
    return connection.execute(_SQL["events"], {"ids": list(ids)}).fetchall()


def named(connection: Connection, meeting_id: str, tenant: str | None = None) -> list[DictRow]:
    """Live meetings with this meetingID or internalMeetingID, locked until the transaction ends.

    tenant: its name; None: all tenants.
    """
    return connection.execute(_SQL["named"], {"id": meeting_id, "tenant": tenant}).fetchall()


def twins(connection: Connection, listed: Collection[tuple[int, str]]) -> list[DictRow]:
    """Lost meetings that a node still has while their meetingIDs are live elsewhere.

    listed: node id and internalMeetingID of every meeting that nodes list. Column listed_by is the node that lists the
    lost meeting.
    """
    values = {"node_ids": [node_id for node_id, _ in listed], "internal_ids": [internal for _, internal in listed]}
    return connection.execute(_SQL["twins"], values).fetchall()


def recordings(connection: Connection, *, states: Collection[str], meeting_id: str | None, limit: int) -> list[DictRow]:
    """The newest recordings of all tenants in these states, of one meetingID or of all."""
    parameters = {"states": list(states), "meeting_id": meeting_id, "limit": limit}
    return connection.execute(_SQL["recordings"], parameters).fetchall()
