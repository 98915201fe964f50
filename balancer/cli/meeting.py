"""``balancer meeting``: lists meetings, finds the node of one, shows its history, and reports duplicates."""

from collections.abc import Mapping
from typing import Any

import click

from balancer.cli.meeting_end import end, give_up
from balancer.cli.output import format_option, printable, show, table
from balancer.cli.session import Session
from balancer.core.nodes import ObservedState, Snapshot, observed_state
from balancer.errors import BalancerError
from balancer.storage.postgresql import clock, nodes, operator_queries
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis.snapshots import Snapshots

Row = dict[str, Any]
_LIVE = ("creating", "running")


class MeetingUnknownError(BalancerError):
    """No row was ever written for this meeting."""


@click.group()
def meeting() -> None:
    """Meetings and their nodes."""


meeting.add_command(end)
meeting.add_command(give_up)


@meeting.command(name="list")
@click.option("--node", "node_name", help="List only meetings on this node.")
@format_option
@click.pass_obj
def list_meetings(session: Session, node_name: str | None, form: str) -> None:
    """List the meetings that are being created or running."""
    snapshots = session.snapshots()
    with session.transaction() as connection:
        rows = [row for row in operator_queries.live(connection) if node_name in (None, row["node"])]
        if node_name is not None and not rows:
            nodes.by_name(connection, node_name)  # raises NodeUnknownError
        current = _current(session, connection, snapshots)
    found = [_public(row, current) for row in rows]
    head = ("MEETING", "TENANT", "NODE", "STATE", "USERS", "SINCE")
    lines = [
        (each["meeting_id"], each["tenant"], each["node"], each["state"], each["users"], each["placed_at"])
        for each in found
    ]
    show(form, {"meetings": found}, table(head, lines, "no meetings"))


@meeting.command()
@click.argument("meeting_id")
@format_option
@click.pass_obj
def where(session: Session, meeting_id: str, form: str) -> None:
    """Show the node of a running meeting. MEETING_ID is its meetingID or its internalMeetingID."""
    snapshots = session.snapshots()
    with session.transaction() as connection:
        rows = operator_queries.history(connection, meeting_id)
        current = _current(session, connection, snapshots)
    found = [_public(row, current) for row in rows if row["state"] in _LIVE]
    if not found:
        ended = f": it {_past(rows[0])}" if rows else ""
        raise MeetingUnknownError(f"no meeting {meeting_id!r} is running{ended}")
    head = ("MEETING", "TENANT", "NODE", "STATE", "USERS", "INTERNAL ID")
    lines = [
        (each["meeting_id"], each["tenant"], each["node"], each["state"], each["users"], each["internal_meeting_id"])
        for each in found
    ]
    show(form, {"meetings": found}, table(head, lines, ""))


@meeting.command()
@click.argument("meeting_id")
@format_option
@click.pass_obj
def trace(session: Session, meeting_id: str, form: str) -> None:
    """Show the history of a meeting: every change of state with its time and cause, newest placement first."""
    with session.transaction() as connection:
        rows = operator_queries.history(connection, meeting_id)
        events = operator_queries.events(connection, [row["id"] for row in rows])
    if not rows:
        raise MeetingUnknownError(f"no meeting {meeting_id!r} was ever placed here")
    for row in rows:
        row["events"] = [event for event in events if event["meeting"] == row["id"]]
    show(form, {"placements": [_traced(row) for row in rows]}, [line for row in rows for line in _story(row)])


@meeting.command()
@format_option
@click.pass_obj
def twins(session: Session, form: str) -> None:
    """List meetings that came back with a node after their meetingID had been placed on another node.

    The balancer ends neither, because there may be users in both. Users in the older meeting stay until it is empty or
    is ended on its node. If the newer meeting ends first, joins go to the older one again.
    """
    # Without snapshots the older meetings are unknown, so a Redis that is away is an error here.
    snapshots = Snapshots(session.redis).all()
    listed = [(node_id, internal) for node_id, snapshot in snapshots.items() for internal in snapshot.participants]
    with session.transaction() as connection:
        rows = operator_queries.twins(connection, listed)
    found = [_twin(row, snapshots[row["listed_by"]]) for row in rows]
    head = ("MEETING", "TENANT", "OLDER ON", "USERS", "SEEN", "INTERNAL ID", "NEWER ON", "SINCE")
    names = ("meeting_id", "tenant", "node", "users", "seen_at", "internal_meeting_id", "live_node", "live_since")
    lines = [tuple(each[name] for name in names) for each in found]
    show(form, {"twins": found}, table(head, lines, "no twins"))


def _twin(row: Row, snapshot: Snapshot) -> dict[str, Any]:
    public = {name: value for name, value in row.items() if name not in ("id", "node_id", "listed_by")}
    users = snapshot.participants[row["internal_meeting_id"]]
    return public | {"users": users, "seen_at": snapshot.poll_started}


def _current(session: Session, connection: Connection, snapshots: Mapping[int, Snapshot]) -> dict[int, Snapshot]:
    """The snapshots of nodes that are online: only these are current."""
    observations, now, interval = nodes.observations(connection), clock.now(connection), session.settings.poll_interval
    return {
        node_id: snapshot
        for node_id, snapshot in snapshots.items()
        if observed_state(observations.get(node_id), snapshot, now, interval) is ObservedState.ONLINE
    }


def _public(row: Row, snapshots: Mapping[int, Snapshot]) -> dict[str, Any]:
    snapshot = snapshots.get(row["node_id"])
    participants = snapshot.participants.get(row["internal_meeting_id"] or "") if snapshot else None
    names = ("meeting_id", "tenant", "node", "state", "internal_meeting_id", "create_time", "placed_at", "user_joined")
    return {name: row[name] for name in names} | {"recorded": row["recorded"], "users": participants}


def _traced(row: Row) -> dict[str, Any]:
    hidden = ("id", "node_id")
    events = [{name: value for name, value in event.items() if name != "meeting"} for event in row["events"]]
    return {name: value for name, value in row.items() if name not in hidden} | {"events": events}


def _story(row: Row) -> list[str]:
    internal = row["internal_meeting_id"] or "no internal id"
    lines = [f"{printable(row['meeting_id'])} ({row['tenant']}) on {row['node']}, {internal}: {row['state']}"]
    return lines + [
        f"  {event['at']:%Y-%m-%d %H:%M:%S}  {event['from_state'] or 'new'} -> {event['to_state']}: {event['cause']}"
        for event in row["events"]
    ]


def _past(row: Row) -> str:
    return f"was {row['state']} on {row['node']} at {row['finished_at']:%Y-%m-%d %H:%M:%S}"
