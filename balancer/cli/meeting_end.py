"""``balancer meeting end`` and ``give-up``: what operators do about one meeting."""

from collections.abc import Mapping
from typing import Any

import click

from balancer import log
from balancer.cli.output import format_option, show
from balancer.cli.session import Session
from balancer.core.ending import end_at
from balancer.core.meetings import State
from balancer.core.nodes import Node, ObservedState, Snapshot, observed_state
from balancer.errors import BalancerError, NodeError, StorageUnavailableError
from balancer.nodes.client import NodeClient
from balancer.storage.postgresql import clock, nodes, operator_queries, transitions
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis.poll_requests import PollRequests

_CAUSE = "an operator gave it up"
_END_CAUSE = "an operator had its node end it"

logger = log.get(__name__)


class MeetingRefusedError(BalancerError):
    """The meeting is not there, is not the only one meant, or is not in a state for this."""


_meeting_arguments = click.argument("meeting_id")
_tenant_option = click.option("--tenant", help="Whose, where two tenants have a meeting of this ID.")


@click.command()
@_meeting_arguments
@_tenant_option
@format_option
@click.pass_obj
def end(session: Session, meeting_id: str, tenant: str | None, form: str) -> None:
    """Have its node end a running meeting: everybody in it is sent out. It is forgotten once the node confirms."""
    with session.transaction() as connection:
        row = _only(connection, meeting_id, tenant)
        node = next((each for each in nodes.all_nodes(connection) if each.id == row["node_id"]), None)
    if node is None or row["state"] != "running":
        raise MeetingRefusedError(f"{row['meeting_id']} is not running yet: look again in a moment")
    ended = _end_at(session, node, row)
    if ended:
        with session.transaction() as connection:
            transitions.request_end(connection, row["id"], _END_CAUSE)
    _poll(session, node.id)
    about = {"tenant_id": row["tenant_id"], "meeting_id": row["meeting_id"], "row": row["id"]}
    logger.info("meeting end by an operator", **about, node=node.name, ended=ended)
    told = "is being ended" if ended else "was over already: its node does not know it"
    show(form, {"changed": ended, "meeting": _public(row)}, [f"{row['meeting_id']} on {node.name} {told}"])


@click.command(name="give-up")
@_meeting_arguments
@_tenant_option
@format_option
@click.pass_obj
def give_up(session: Session, meeting_id: str, tenant: str | None, form: str) -> None:
    """Stop waiting for a meeting whose node is away: the next create places it anew, without waiting any longer.

    Nothing is ended: should the node come back with it first, it goes on there, else it is listed by `meeting twins`.
    Refused where the node is known to be online, by a poll not older than three times BALANCER_POLL_INTERVAL.
    """
    snapshots = session.snapshots()
    with session.transaction() as connection:
        row = _only(connection, meeting_id, tenant)
        observed = _observed(session, connection, row, snapshots)
        if observed is ObservedState.ONLINE:
            raise MeetingRefusedError(
                f"{row['node']} answers, so {row['meeting_id']} is not lost: `balancer meeting end` ends it"
            )
        lost = transitions.finish(connection, [row["id"]], State(row["state"]), State.LOST, _CAUSE)
    try:
        session.announcer.announce(lost)
    except StorageUnavailableError as error:
        click.echo(f"balancer: {error}: joins may still be sent to {row['node']}", err=True)
    lines = [f"{row['meeting_id']} on {row['node']} is given up: the next create places it anew"]
    if observed is ObservedState.STALE:
        lines.append(f"- {row['node']} was online, but no fresh poll tells whether it is: the meeting may run on there")
    show(form, {"changed": True, "meeting": _public(row), "observed_state": observed.value}, lines)


def _observed(
    session: Session, connection: Connection, row: dict[str, Any], snapshots: Mapping[int, Snapshot]
) -> ObservedState:
    """Of the meeting's node, by the snapshots that could be read."""
    observation, snapshot = nodes.observations(connection).get(row["node_id"]), snapshots.get(row["node_id"])
    return observed_state(observation, snapshot, clock.now(connection), session.settings.poll_interval)


def _only(connection: Connection, meeting_id: str, tenant: str | None) -> dict[str, Any]:
    """The one live meeting that is meant. Raises MeetingRefusedError."""
    found = operator_queries.named(connection, meeting_id, tenant)
    if not found:
        raise MeetingRefusedError(f"no meeting {meeting_id!r} is running")
    if len(found) > 1:
        owners = ", ".join(row["tenant"] for row in found)
        raise MeetingRefusedError(f"{meeting_id!r} is a meeting of {owners}: say which with --tenant")
    return found[0]


def _end_at(session: Session, node: Node, row: dict[str, Any]) -> bool:
    """Whether the node ends it now; False where it has no such meeting. Raises MeetingRefusedError, NotEndedError."""
    client = NodeClient(session.settings)
    try:
        return end_at(client, node, row["meeting_id"], row["internal_meeting_id"])
    except NodeError as error:
        raise MeetingRefusedError(
            f"{node.name} does not answer ({error.reason}): end it when the node is back, or `balancer meeting give-up`"
        ) from error
    finally:
        client.close()


def _poll(session: Session, node_id: int) -> None:
    try:
        PollRequests(session.redis).ask([node_id])
    except StorageUnavailableError as error:
        click.echo(f"balancer: {error}: the poller sees the change within its interval", err=True)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("meeting_id", "tenant", "node", "internal_meeting_id")}
