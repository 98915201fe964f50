"""Carries out core.create_outcome: makes the rows agree with what a node answered to create."""

from typing import NamedTuple

import psycopg.errors
from psycopg import Cursor
from psycopg.rows import DictRow

from balancer.core.create_outcome import LockedRow, Step, settle
from balancer.core.meetings import Identity, LiveMeeting, State
from balancer.core.nodes import AdminState
from balancer.storage.postgresql import transitions
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.postgresql.transitions import Change

_SQL = queries("create_outcome")
_CREATED = "its node created it"


class Settlement(NamedTuple):
    """What was done."""

    step: Step
    running: int | None  #: the row that now says that the meeting is running; None: no row does
    changes: list[Change]


def carry_out(database: Database, meeting: LiveMeeting, reported: Identity, *, create_timeout: float) -> Settlement:
    """Take the step that the reported meeting calls for, in one transaction. Raises StorageUnavailableError.

    create_timeout: seconds that a create may have taken.
    """
    node_id = meeting.node.id if meeting.node else 0
    if meeting.state is State.CREATING:
        with database.single() as connection:
            changes = transitions.begin_new(connection, meeting.id, node_id, reported, _CREATED)
        if changes:
            return Settlement(Step.BEGIN, meeting.id, changes)
    values = {
        "id": meeting.id,
        "tenant_id": meeting.tenant_id,
        "node_id": node_id,
        "internal_meeting_id": reported.internal_meeting_id,
    }
    with database.transaction() as connection:
        with connection.pipeline():
            nodes = connection.execute(_SQL["lock_node"], {"id": node_id})
            connection.execute(_SQL["lock_rows"], values)
            # Read again after the lock, because a transaction that we waited for may have added the row that counts.
            rows = connection.execute(_SQL["row"], {"id": meeting.id})
            namesakes = connection.execute(_SQL["namesake"], values)
        node, row, namesake = nodes.fetchone(), _locked(rows), _locked(namesakes)
        if row is None:
            return Settlement(Step.TRY_AGAIN, None, [])
        enabled = node is not None and node["admin_state"] == AdminState.ENABLED
        step = settle(row, namesake, reported, enabled=enabled)
        running, changes = _take(connection, step, row, namesake, reported, create_timeout)
    return Settlement(step, running, changes)


def _locked(found: Cursor[DictRow]) -> LockedRow | None:
    row = found.fetchone()
    return None if row is None else LockedRow(**{**row, "state": State(row["state"])})


def _take(
    connection: Connection,
    step: Step,
    row: LockedRow,
    namesake: LockedRow | None,
    reported: Identity,
    create_timeout: float,
) -> tuple[int | None, list[Change]]:
    """Take the step; the row that is running then, and what changed."""
    if step is Step.KEEP:
        # If the row is running, the namesake was left behind by a removed node. Otherwise the namesake is running.
        return namesake.id if namesake and row.state is not State.RUNNING else row.id, []
    if step is Step.REFUSE and row.live:
        return None, _finish(connection, row, State.ENDED, "its node answered with a meeting that is not its own")
    if step is Step.DISOWN:
        return None, _finish(connection, row, State.LOST, "its node no longer takes new meetings")
    if step is Step.BEGIN:
        return _begin(connection, row, reported, _CREATED)
    if step is Step.TAKE_BACK and namesake:
        ended = _finish(connection, row, State.ENDED, "its node still had the meeting from before")
        running, changes = _begin(connection, namesake, reported, "its node still had it")
        return running, ended + changes
    if step in (Step.SUCCEED, Step.DISOWN_SUCCESSOR):
        return _succeed(connection, row, reported, step, create_timeout)
    return None, []


def _finish(connection: Connection, row: LockedRow, state: State, cause: str) -> list[Change]:
    return transitions.finish(connection, [row.id], row.state, state, cause)


def _begin(connection: Connection, row: LockedRow, reported: Identity, cause: str) -> tuple[int | None, list[Change]]:
    """The row is running; or None if another row of its meetingID is live by now, and this row is lost."""
    try:
        with connection.transaction():
            return row.id, transitions.begin(connection, row.id, row.state, reported, cause)
    except psycopg.errors.UniqueViolation:
        if row.state is State.ENDED and not row.handed_out:
            return None, _finish(connection, row, State.LOST, "another row has its meetingID")
        return None, []


def _succeed(
    connection: Connection, row: LockedRow, reported: Identity, step: Step, create_timeout: float
) -> tuple[int | None, list[Change]]:
    ended = []
    if row.state is not State.ENDED:
        ended = _finish(connection, row, State.ENDED, "its node answered create with another meeting")
    state = State.RUNNING if step is Step.SUCCEED else State.LOST
    cause = f"in place of row {row.id}"
    new = transitions.succeed(connection, row.id, state, reported, cause, created_within=create_timeout)
    running = new[0].row if new and step is Step.SUCCEED else None
    return running, ended + new
