"""Applies a poll's findings to the rows. Each change is made only if the row is still as the poll saw it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg.errors

from balancer.core.load import LARGEST_ROOM
from balancer.core.meetings import State
from balancer.core.node_call import SeenMeeting
from balancer.core.nodes import AdminState
from balancer.core.reconciliation import Findings, MeetingRow, NodeListing, RowMatch, compare
from balancer.storage.postgresql import transitions
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.postgresql.transitions import Change

_SQL = queries("reconciliation")

GONE = "the node no longer lists it"
FORGOTTEN = "the node does not know it"
NEVER_CREATED = "its create never finished and the node does not list it"
ADOPTED = "its create finished without us: the node lists it"
NOT_ITS_OWN = "its create never finished and what the node lists belongs to another row"
DISOWNED = "its create finished without us, on a node that no longer takes new meetings"
RETURNED = "its node is back with it"
TWIN = "its node is back with it while its meetingID is live elsewhere: a twin, left alone"
LEFT_OVER = "a create that timed out left it on the node: it is ended there"

#: A transition of one row to the meeting that a poll saw.
_Transition = Callable[[Connection, int, SeenMeeting, str], list[Change]]


@dataclass(frozen=True)
class Outcome:
    """What became of a poll's findings."""

    changes: list[Change]
    doubtful: list[MeetingRow]  #: the node is asked for them by name; see confirm_ended
    left_over: list[SeenMeeting]  #: to be ended on the node, now that they are tied to their rows


def reconcile(database: Database, listing: NodeListing, *, create_grace: timedelta) -> Outcome:
    """Compare a node's list with its rows and apply the findings, in one transaction.

    Raises StorageUnavailableError.
    """
    with database.transaction() as connection:
        findings = compare(_rows(connection, listing), listing, create_grace=create_grace)
        if not findings:
            return Outcome([], [], [])
        enabled = _lock_all(connection, findings, listing.node_id)
        changes = _apply(connection, findings, listing.poll_started, enabled=enabled)
        claimed = _match_all(connection, transitions.claim_left_over, findings.left_over, LEFT_OVER)
    claimed_rows = {change.row for change in claimed}
    left_over = [match.meeting for match in findings.left_over if match.row.id in claimed_rows]
    return Outcome(changes + claimed, findings.doubtful, left_over)


def confirm_ended(database: Database, rows: Iterable[MeetingRow], poll_started: datetime) -> list[Change]:
    """End doubtful rows after the node itself has said that it does not know them. Raises StorageUnavailableError."""
    ids = [row.id for row in rows]
    with database.transaction() as connection:
        _lock_rows(connection, ids)
        return transitions.end_running(connection, ids, poll_started, FORGOTTEN)


def _rows(connection: Connection, listing: NodeListing) -> list[MeetingRow]:
    internal_ids = [meeting.internal_meeting_id for meeting in listing.meetings]
    parameters = {"node_id": listing.node_id, "internal_meeting_ids": internal_ids}
    return [MeetingRow(**row) for row in connection.execute(_SQL["rows_on_node"], parameters)]


def _lock_all(connection: Connection, findings: Findings, node_id: int) -> bool:
    """Lock what will be changed, the node first. Returns whether the node takes new meetings, if that matters."""
    if findings.left_over:
        connection.execute(_SQL["lock_node_exclusively"], {"id": node_id})
    # Returned meetings need the lock too: a command that removes the node gives up whatever is running there.
    enabled = not (findings.adopted or findings.returned) or _enabled(connection, node_id)
    _lock_rows(connection, [row.id for row in findings.changing])
    return enabled


def _enabled(connection: Connection, node_id: int) -> bool:
    """Whether the node takes new meetings; that cannot change until the transaction ends."""
    node = connection.execute(_SQL["lock_node"], {"id": node_id}).fetchone()
    return node is not None and node["admin_state"] == AdminState.ENABLED


def _lock_rows(connection: Connection, ids: list[int]) -> None:
    connection.execute(_SQL["lock_rows"], {"ids": ids})


def _apply(connection: Connection, findings: Findings, poll_started: datetime, *, enabled: bool) -> list[Change]:
    changes = transitions.end_running(connection, _ids(findings.ended), poll_started, GONE)
    changes += _end_creating(connection, _ids(findings.abandoned), State.ENDED, NEVER_CREATED)
    changes += _adopt(connection, findings.adopted, enabled=enabled)
    returned = _match_all(connection, transitions.take_back, findings.returned, RETURNED)
    changes += returned
    changes += transitions.note_twins(connection, _unchanged(findings.returned, returned), TWIN)
    if findings.joined:
        connection.execute(_SQL["note_joined"], {"ids": _ids(findings.joined)})
    if findings.grown:
        peaks = {match.row.id: min(match.meeting.participants, LARGEST_ROOM) for match in findings.grown}
        connection.execute(_SQL["note_peaks"], {"ids": list(peaks), "users": list(peaks.values())})
    return changes


def _adopt(connection: Connection, matches: list[RowMatch], *, enabled: bool) -> list[Change]:
    if not enabled:
        # No client knows these meetings. As lost rows, the next poll ends them on the node as left over.
        return _end_creating(connection, [match.row.id for match in matches], State.LOST, DISOWNED)
    adopted = _match_all(connection, transitions.adopt, matches, ADOPTED)
    return adopted + _end_creating(connection, _unchanged(matches, adopted), State.ENDED, NOT_ITS_OWN)


def _end_creating(connection: Connection, ids: list[int], state: State, cause: str) -> list[Change]:
    return transitions.finish(connection, ids, State.CREATING, state, cause)


def _match_all(connection: Connection, transition: _Transition, matches: list[RowMatch], cause: str) -> list[Change]:
    changes = []
    for match in matches:
        try:
            with connection.transaction():
                changes += transition(connection, match.row.id, match.meeting, cause)
        except psycopg.errors.UniqueViolation:
            # A request has just placed the same meetingID: its row stays, and the lost one stays lost.
            continue
    return changes


def _ids(rows: Iterable[MeetingRow]) -> list[int]:
    return [row.id for row in rows]


def _unchanged(matches: Iterable[RowMatch], changes: Iterable[Change]) -> list[int]:
    """Ids of the matched rows that were not changed."""
    changed = {change.row for change in changes}
    return [match.row.id for match in matches if match.row.id not in changed]
