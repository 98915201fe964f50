"""A poll's findings, applied to the rows: each change holds only while the row is as the poll saw it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg.errors

from balancer.core.load import LARGEST_ROOM
from balancer.core.node_call import SeenMeeting
from balancer.core.nodes import AdminState
from balancer.core.reconciliation import Findings, Found, Listing, Placed, compare
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.sql import queries

GONE = "the node lists it no more"
FORGOTTEN = "the node does not know it"
NEVER_CREATED = "its create never finished and the node does not list it"
ADOPTED = "its create finished without us: the node lists it"
NOT_ITS_OWN = "its create never finished and what the node lists is another one's"
DISOWNED = "its create finished without us, on a node that takes no new meetings any more"
RETURNED = "its node is back with it"
TWIN = "its node is back with it, while its meetingID lives in another placement: a twin, left alone"
LEFT_OVER = "a create that timed out left it on the node: it is ended there"


@dataclass(frozen=True)
class Change:
    """A row that changed, for the log."""

    row: Placed
    to_state: str
    cause: str
    internal_meeting_id: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a poll's findings."""

    changes: list[Change]
    doubtful: list[Placed]  #: to be asked for by name; see confirm_ended
    left_over: list[SeenMeeting]  #: to be ended on the node, now that they are tied to their rows


def reconcile(database: Database, listing: Listing, *, create_grace: timedelta) -> Outcome:
    """Compare a node's answer with its rows and apply what follows, in one transaction.

    Raises StorageUnavailableError.
    """
    with database.transaction() as connection:
        findings = compare(_rows(connection, listing), listing, create_grace=create_grace)
        if not findings:
            return Outcome([], [], [])
        enabled = _hold(connection, findings, listing.node_id)
        changes = _apply(connection, findings, listing.poll_started, enabled=enabled)
        claimed = [found for found in findings.left_over if _change(connection, "claim_left_over", found, LEFT_OVER)]
    changes += [_changed(found, "lost", LEFT_OVER) for found in claimed]
    return Outcome(changes, findings.doubtful, [found.meeting for found in claimed])


def confirm_ended(database: Database, rows: Iterable[Placed], poll_started: datetime) -> list[Change]:
    """End doubtful rows, after the node itself has said that it does not know them. Raises StorageUnavailableError."""
    with database.transaction() as connection:
        ended = list(rows)
        _lock(connection, ended)
        return _change_all(connection, "end_running", ended, "ended", FORGOTTEN, {"poll_started": poll_started})


def _rows(connection: Connection, listing: Listing) -> list[Placed]:
    internal_ids = [meeting.internal_meeting_id for meeting in listing.meetings]
    parameters = {"node_id": listing.node_id, "internal_meeting_ids": internal_ids}
    rows = connection.execute(queries("reconciliation")["rows_on_node"], parameters)
    return [Placed(**row) for row in rows]


def _hold(connection: Connection, findings: Findings, node_id: int) -> bool:
    """Lock what will be changed, the node first; whether the node takes new meetings, where that matters."""
    if findings.left_over:
        connection.execute(queries("reconciliation")["lock_node_alone"], {"id": node_id})
    # What returns with its node holds it too: whoever removes the node gives up whatever runs there.
    enabled = not (findings.adopted or findings.returned) or _enabled(connection, node_id)
    _lock(connection, findings.changing)
    return enabled


def _lock(connection: Connection, rows: Iterable[Placed]) -> None:
    connection.execute(queries("reconciliation")["lock_rows"], {"ids": [row.id for row in rows]})


def _apply(connection: Connection, findings: Findings, poll_started: datetime, *, enabled: bool) -> list[Change]:
    parameters = {"poll_started": poll_started}
    changes = _change_all(connection, "end_running", findings.ended, "ended", GONE, parameters)
    changes += _change_all(connection, "finish_creating", findings.abandoned, "ended", NEVER_CREATED, {})
    adopted = _run(connection, "adopt", findings.adopted, ADOPTED) if enabled else []
    state, cause = ("ended", NOT_ITS_OWN) if enabled else ("lost", DISOWNED)
    changes += adopted + _change_all(
        connection, "finish_creating", _unchanged(findings.adopted, adopted), state, cause, {}
    )
    changes += _run(connection, "take_back", findings.returned, RETURNED)
    twins = _unchanged(findings.returned, changes)
    changes += _change_all(connection, "note_twins", twins, "lost", TWIN, {})
    if findings.joined:
        connection.execute(queries("reconciliation")["note_joined"], {"ids": [row.id for row in findings.joined]})
    if findings.grown:
        peaks = {found.row.id: min(found.meeting.participants, LARGEST_ROOM) for found in findings.grown}
        values = {"ids": list(peaks), "users": list(peaks.values())}
        connection.execute(queries("reconciliation")["note_peaks"], values)
    return changes


def _enabled(connection: Connection, node_id: int) -> bool:
    """Whether the node takes new meetings; that cannot change until the transaction ends."""
    node = connection.execute(queries("reconciliation")["lock_node"], {"id": node_id}).fetchone()
    return node is not None and node["admin_state"] == AdminState.ENABLED


def _unchanged(found: Iterable[Found], changes: Iterable[Change]) -> list[Placed]:
    changed = {change.row.id for change in changes}
    return [one.row for one in found if one.row.id not in changed]


def _run(connection: Connection, query: str, found: Iterable[Found], cause: str) -> list[Change]:
    return [_changed(one, "running", cause) for one in found if _change(connection, query, one, cause)]


def _change_all(
    connection: Connection, query: str, rows: list[Placed], to_state: str, cause: str, parameters: dict[str, Any]
) -> list[Change]:
    if not rows:
        return []
    given = {"ids": [row.id for row in rows], "to_state": to_state, "cause": cause} | parameters
    changed = {row["meeting"] for row in connection.execute(queries("reconciliation")[query], given)}
    return [Change(row, to_state, cause, row.internal_meeting_id) for row in rows if row.id in changed]


def _change(connection: Connection, query: str, found: Found, cause: str) -> bool:
    parameters = {
        "id": found.row.id,
        "internal_meeting_id": found.meeting.internal_meeting_id,
        "create_time": found.meeting.create_time,
        "user_joined": found.meeting.user_joined,
        "cause": cause,
    }
    try:
        with connection.transaction():
            return bool(connection.execute(queries("reconciliation")[query], parameters).rowcount)
    except psycopg.errors.UniqueViolation:
        # A request placed the same meetingID at this very moment: its row stands, the lost one stays lost.
        return False


def _changed(found: Found, to_state: str, cause: str) -> Change:
    return Change(found.row, to_state, cause, found.meeting.internal_meeting_id)
