"""The transitions of meetings: one conditional statement each, which changes a row only if it is still as expected.

A trigger records every one in meeting_events with its cause.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import psycopg.errors
from psycopg.rows import class_row

from balancer.core.meetings import Identity, State
from balancer.core.node_call import SeenMeeting
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("transitions")
_RETURNING = """
RETURNING %(from_state)s::text AS from_state, meetings.state AS to_state, meetings.cause, meetings.id AS row,
    meetings.tenant_id, meetings.meeting_id, meetings.node_id, meetings.node_name, meetings.internal_meeting_id
"""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A transition of one row of table meetings. The states are values of core.meetings.State."""

    row: int
    tenant_id: int
    meeting_id: str
    from_state: str | None  #: None: the row is new
    to_state: str
    cause: str
    node_id: int | None  #: None: the node was removed
    node_name: str
    internal_meeting_id: str | None


def begin_new(connection: Connection, row: int, node_id: int, meeting: Identity, cause: str) -> list[Change]:
    """Creating to running, in one round trip. No change if this is another case of core.create_outcome."""
    values = {"id": row, "node_id": node_id, **_identity(meeting)}
    try:
        return _change(connection, "begin_new", State.CREATING, cause, **values)
    except psycopg.errors.UniqueViolation:
        return []


def begin(connection: Connection, row: int, from_state: State, meeting: Identity, cause: str) -> list[Change]:
    """To running. Raises psycopg's UniqueViolation if another row of the meetingID is live."""
    return _change(connection, "begin", from_state, cause, id=row, **_identity(meeting))


def succeed(
    connection: Connection, row: int, state: State, meeting: Identity, cause: str, *, created_within: float
) -> list[Change]:
    """Add a row, running or lost, for the meeting that a node created in place of this row's.

    created_within: seconds; its create was sent no longer ago.
    """
    values = {"id": row, "state": state.value, "created_within": created_within, **_identity(meeting)}
    return _change(connection, "succeed", None, cause, **values)


def finish(
    connection: Connection, rows: Collection[int], from_state: State, to_state: State, cause: str
) -> list[Change]:
    """To ended or lost."""
    return _change(connection, "finish", from_state, cause, ids=list(rows), to_state=to_state.value)


def end_running(connection: Connection, rows: Collection[int], poll_started: datetime, cause: str) -> list[Change]:
    """Running to ended, for rows that were created before the poll began."""
    return _change(connection, "end_running", State.RUNNING, cause, ids=list(rows), poll_started=poll_started)


def lose_all(connection: Connection, node_id: int, cause: str) -> list[Change]:
    """Live to lost, for all meetings of a node that is about to be removed."""
    live = connection.execute(_SQL["lock_live_on_node"], {"node_id": node_id}).fetchall()
    changes = [
        change
        for state in (State.CREATING, State.RUNNING)
        for change in finish(connection, [row["id"] for row in live if row["state"] == state], state, State.LOST, cause)
    ]
    return sorted(changes, key=lambda change: change.row)


def adopt(connection: Connection, row: int, meeting: SeenMeeting, cause: str) -> list[Change]:
    """Creating to running, for a meeting that a poll saw."""
    return _change(connection, "adopt", State.CREATING, cause, id=row, **_seen(meeting))


def take_back(connection: Connection, row: int, meeting: SeenMeeting, cause: str) -> list[Change]:
    """Lost to running, for a meeting that a poll saw."""
    return _change(connection, "take_back", State.LOST, cause, id=row, **_seen(meeting))


def note_twins(connection: Connection, rows: Collection[int], cause: str) -> list[Change]:
    """Record that lost meetings are back on their nodes while their meetingIDs are live elsewhere."""
    return _change(connection, "note_twins", State.LOST, cause, ids=list(rows))


def claim_left_over(connection: Connection, row: int, meeting: SeenMeeting, cause: str) -> list[Change]:
    """Tie a meeting that is about to be ended to the lost row of the create that made it."""
    return _change(connection, "claim_left_over", State.LOST, cause, id=row, **_seen(meeting))


def request_end(connection: Connection, row: int, cause: str) -> None:
    """Record that the node accepted an end; the meeting goes on running until the node confirms."""
    connection.execute(_SQL["request_end"], {"id": row, "cause": cause})


def _change(connection: Connection, name: str, from_state: State | None, cause: str, **values: object) -> list[Change]:
    if values.get("ids") == []:
        return []
    cursor = connection.cursor(row_factory=class_row(Change))
    parameters = {"from_state": from_state and from_state.value, "cause": cause, **values}
    return cursor.execute(_SQL[name] + _RETURNING, parameters).fetchall()


def _identity(meeting: Identity) -> dict[str, object]:
    return meeting._asdict()


def _seen(meeting: SeenMeeting) -> dict[str, object]:
    return {
        "internal_meeting_id": meeting.internal_meeting_id,
        "create_time": meeting.create_time,
        "user_joined": meeting.user_joined,
    }
