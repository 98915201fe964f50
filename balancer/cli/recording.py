"""``balancer recording``: shows imported recordings and the queue of archives."""

from datetime import UTC, datetime
from typing import Any

import click

from balancer.cli.output import format_option, printable, show, table
from balancer.cli.session import Session
from balancer.core.recordings import DEFAULT_STATES, STATES
from balancer.errors import BalancerError
from balancer.storage.postgresql import imports, operator_queries, recordings

#: Columns of table recordings that are not shown.
_INTERNAL = ("id", "tenant_id", "imported_metadata", "edited_metadata")


class RecordingUnknownError(BalancerError):
    """No recording with this ID was ever imported."""


@click.group()
def recording() -> None:
    """Recordings and the archives that contain them."""


@recording.command(name="list")
@click.option("--meeting-id", help="List only recordings of this meetingID.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), default=DEFAULT_STATES, help="Only in these states."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Maximum number.")
@format_option
@click.pass_obj
def list_recordings(session: Session, meeting_id: str | None, states: tuple[str, ...], limit: int, form: str) -> None:
    """List recordings, the most recently imported first."""
    with session.transaction() as connection:
        found = operator_queries.recordings(connection, states=states, meeting_id=meeting_id, limit=limit)
    head = ("RECORDING", "MEETING", "TENANT", "STATE", "FORMATS", "BEGAN", "NAME")
    names = ("record_id", "meeting_id", "tenant", "state")
    rows = [(*(row[name] for name in names), " ".join(row["formats"]), _began(row), row["name"]) for row in found]
    show(form, {"recordings": found}, table(head, rows, "no recordings"))


@recording.command(name="show")
@click.argument("record_id")
@format_option
@click.pass_obj
def show_recording(session: Session, record_id: str, form: str) -> None:
    """Show one recording: state, formats, metadata, and every archive that was imported for it."""
    with session.transaction() as connection:
        row = recordings.get(connection, record_id)
        arrived = imports.of_recording(connection, record_id)
    if row is None:
        raise RecordingUnknownError(f"no recording {record_id!r}; `balancer recording queue` lists archives that wait")
    public = {name: value for name, value in row.items() if name not in _INTERNAL}
    show(form, {"recording": public | {"imports": arrived}}, _story(public, arrived))


@recording.command()
@format_option
@click.pass_obj
def queue(session: Session, form: str) -> None:
    """List archives that are being imported, that wait, or that were refused recently, with the reason."""
    with session.transaction() as connection:
        found = imports.queue(connection)
    head = ("ARCHIVE", "STATE", "ATTEMPTS", "ARRIVED", "HOST", "REASON")
    rows = [
        (row["archive"], row["state"], row["attempts"], row["arrived_at"], row["host"], row["reason"]) for row in found
    ]
    show(form, {"queue": found}, table(head, rows, "no archives"))


def _began(row: dict[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(row["start_ms"] / 1000, UTC) if row["start_ms"] else None


def _story(public: dict[str, Any], arrived: list[dict[str, Any]]) -> list[str]:
    formats = ", ".join(f"{each['format']} ({each['tree']})" for each in public["formats"])
    tenant = f"{public['tenant']} (assumed)" if public["tenant_assumed"] else public["tenant"]
    lines = [
        f"{public['record_id']}: {printable(public['name'])}",
        f"  meeting {printable(public['meeting_id'])}, tenant {tenant}",
        f"  {public['state']}{', protected' if public['protected'] else ''}; formats: {formats or 'none'}",
    ]
    return lines + [f"  {each['arrived_at']:%Y-%m-%d %H:%M:%S}  {_import_line(each)}" for each in arrived]


def _import_line(arrived: dict[str, Any]) -> str:
    return printable(f"{arrived['archive']}: {arrived['state']} {arrived['reason'] or ''}".rstrip())
