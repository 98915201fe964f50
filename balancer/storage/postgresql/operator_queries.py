"""What is written of meetings and recordings, for operators: what lives where, what became of it, and why."""

from collections.abc import Collection

from psycopg.rows import DictRow

from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

#: Rows shown of one meetingID: a room that is used every day has one for each time.
HISTORY_LIMIT = 50


def live(connection: Connection, node_id: int | None = None) -> list[DictRow]:
    """Live meetings, of one node or of all, oldest first."""
    return connection.execute(queries("operator_queries")["live"], {"node_id": node_id}).fetchall()


def history(connection: Connection, meeting_id: str, limit: int = HISTORY_LIMIT) -> list[DictRow]:
    """The rows of a meetingID, or the row of an internalMeetingID, newest first."""
    return connection.execute(queries("operator_queries")["history"], {"id": meeting_id, "limit": limit}).fetchall()


def events(connection: Connection, ids: Collection[int]) -> list[DictRow]:
    """Every transition of these rows with its cause, oldest first."""
    return connection.execute(queries("operator_queries")["events"], {"ids": list(ids)}).fetchall()


def named(connection: Connection, meeting_id: str, tenant: str | None = None) -> list[DictRow]:
    """Live meetings with this meetingID or internalMeetingID, of one tenant or all; held until the transaction ends."""
    return connection.execute(queries("operator_queries")["named"], {"id": meeting_id, "tenant": tenant}).fetchall()


def give_up(connection: Connection, row: int, cause: str) -> bool:
    """A live meeting is lost from now on; False where it was live no more."""
    return connection.execute(queries("operator_queries")["give_up"], {"id": row, "cause": cause}).rowcount == 1


def note_end(connection: Connection, row: int, cause: str) -> None:
    """Its node took an end for it: it is listed no more, and forgotten once the node confirms."""
    connection.execute(queries("operator_queries")["note_end"], {"id": row, "cause": cause})


def twins(connection: Connection, listed: Collection[tuple[int, str]]) -> list[DictRow]:
    """Lost meetings that a node has while their meetingID lives elsewhere.

    listed: node and internalMeetingID of every meeting that nodes list; the node that lists the lost one is listed_by.
    """
    values = {"node_ids": [node_id for node_id, _ in listed], "internal_ids": [internal for _, internal in listed]}
    return connection.execute(queries("operator_queries")["twins"], values).fetchall()


def lose_all(connection: Connection, node_id: int, cause: str) -> list[DictRow]:
    """Give up the live meetings of a node that is removed; their id, tenant_id and meeting_id."""
    return connection.execute(queries("operator_queries")["lose_all"], {"node_id": node_id, "cause": cause}).fetchall()


def recordings(connection: Connection, *, states: Collection[str], meeting_id: str | None, limit: int) -> list[DictRow]:
    """The newest recordings of all tenants in these states, of one meetingID or of all."""
    parameters = {"states": list(states), "meeting_id": meeting_id, "limit": limit}
    return connection.execute(queries("operator_queries")["recordings"], parameters).fetchall()
