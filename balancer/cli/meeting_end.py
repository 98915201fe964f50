"""``balancer meeting end`` and ``give-up``: an operator's actions on one meeting."""

from collections.abc import Mapping
from typing import Any

import click

from balancer import log
from balancer.cli.output import format_option, show
from balancer.cli.session import Session
from balancer.core.exact_end import end_at
from balancer.core.meetings import State
from balancer.core.nodes import Node, ObservedState, Snapshot, observed_state
from balancer.errors import BalancerError, NodeError, StorageUnavailableError
from balancer.nodes.client import NodeClient
from balancer.storage.postgresql import clock, nodes, operator_queries, transitions
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis.poll_requests import PollRequests

_CAUSE = "an operator gave it up"
_END_CAUSE = "an operator requested its end"

logger = log.get(__name__)


class MeetingRefusedError(BalancerError):
    """The meeting does not exist, is ambiguous, or is not in a state that allows this."""


_meeting_arguments = click.argument("meeting_id")
_tenant_option = click.option("--tenant", help="The meeting's tenant, if several tenants have a meeting with this ID.")


@click.command()
@_meeting_arguments
@_tenant_option
@format_option
@click.pass_obj
def end(session: Session, meeting_id: str, tenant: str | None, form: str) -> None:
    """End a running meeting on its node. All users are logged out; the meeting is forgotten once the node confirms."""
    with session.transaction() as connection:
        row = _only(connection, meeting_id, tenant)
        node = next((each for each in nodes.all_nodes(connection) if each.id == row["node_id"]), None)
    if node is None or row["state"] != "running":
        raise MeetingRefusedError(f"{row['meeting_id']} is not running yet: try again in a moment")
    ended = _end_at(session, node, row)
    if ended:
        with session.transaction() as connection:
            transitions.request_end(connection, row["id"], _END_CAUSE)
    _poll(session, node.id)
    about = {"tenant_id": row["tenant_id"], "meeting_id": row["meeting_id"], "row": row["id"]}
    logger.info("meeting end by an operator", **about, node=node.name, ended=ended)
    outcome = "is being ended" if ended else "had already ended: its node does not know it"
    show(form, {"changed": ended, "meeting": _public(row)}, [f"{row['meeting_id']} on {node.name} {outcome}"])


@click.command(name="give-up")
@_meeting_arguments
@_tenant_option
@format_option
@click.pass_obj
def give_up(session: Session, meeting_id: str, tenant: str | None, form: str) -> None:
    """Stop waiting for a meeting whose node is unreachable: the next create places it again at once.

    The meeting is not ended. If its node comes back before that create, the meeting continues there; if the node comes
    back later, `meeting twins` lists it. Refused if a poll no older than three times BALANCER_POLL_INTERVAL found the
    node online.
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
    lines = [f"{row['meeting_id']} on {row['node']} is given up: the next create places it again"]
    if observed is ObservedState.STALE:
        lines.append(f"- no recent poll shows whether {row['node']} is still online: the meeting may continue there")
    show(form, {"changed": True, "meeting": _public(row), "observed_state": observed.value}, lines)


def _observed(
    session: Session, connection: Connection, row: dict[str, Any], snapshots: Mapping[int, Snapshot]
) -> ObservedState:
    """The observed state of the meeting's node, by the snapshots that could be read."""
    observation, snapshot = nodes.observations(connection).get(row["node_id"]), snapshots.get(row["node_id"])
    return observed_state(observation, snapshot, clock.now(connection), session.settings.poll_interval)


def _only(connection: Connection, meeting_id: str, tenant: str | None) -> dict[str, Any]:
    """The one live meeting with this ID. Raises MeetingRefusedError."""
    found = operator_queries.named(connection, meeting_id, tenant)
    if not found:
        raise MeetingRefusedError(f"no meeting {meeting_id!r} is running")
    if len(found) > 1:
        owners = ", ".join(row["tenant"] for row in found)
        raise MeetingRefusedError(f"{meeting_id!r} belongs to several tenants ({owners}): choose one with --tenant")
    return found[0]


def _end_at(session: Session, node: Node, row: dict[str, Any]) -> bool:
    """Whether the node ends it now; False if it has no such meeting. Raises MeetingRefusedError, NotEndedError."""
    client = NodeClient(session.settings)
    try:
        return end_at(client, node, row["meeting_id"], row["internal_meeting_id"])
    except NodeError as error:
        raise MeetingRefusedError(
            f"{node.name} does not answer ({error.reason}): end it when it is back, or run `balancer meeting give-up`"
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
