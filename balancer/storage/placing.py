"""Placement in PostgreSQL: one transaction, under a lock, that counts everything placed so far and adds one row."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from balancer import log
from balancer.core.load import Load, Young, loads
from balancer.core.meetings import Placement, State, Wanted
from balancer.core.nodes import AdminState, Node, Observation, ObservedState, Snapshot, observed_state
from balancer.core.selection import Candidate, candidates
from balancer.errors import NoNodeAvailableError
from balancer.settings import Settings
from balancer.storage.database import Connection
from balancer.storage.sql import queries

_SQL = queries("meetings")

logger = log.get(__name__)


def live(connection: Connection, tenant_id: int, meeting_id: str) -> Placement | None:
    """The live row of a tenant's meetingID, and its node."""
    row = connection.execute(_SQL["live"], {"tenant_id": tenant_id, "meeting_id": meeting_id}).fetchone()
    if row is None:
        return None
    return Placement(
        id=row["id"],
        tenant_id=row["tenant_id"],
        meeting_id=row["meeting_id"],
        state=State(row["state"]),
        node=None if row["node_id"] is None else _node(row, row["node_id"]),
        internal_meeting_id=row["internal_meeting_id"],
        unreachable_for=row["unreachable_for"],
    )


def place(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> Placement:
    """Reserve the best node; the caller holds the placement lock and has found no live row.

    snapshots may be older than the transaction: what was placed since their polls is counted from rows.
    Raises NoNodeAvailableError.
    """
    judged = _judge(connection, wanted, refused, snapshots, settings)
    for candidate in judged:
        if candidate.refusal:
            break
        row = connection.execute(_SQL["insert"], _values(wanted, candidate)).fetchone()
        # None: an operator took the node out of service while we chose.
        if row is not None:
            _log_decision(wanted, candidate, judged)
            return Placement(
                id=row["id"],
                tenant_id=wanted.tenant_id,
                meeting_id=wanted.meeting_id,
                state=State.CREATING,
                node=candidate.node,
            )
    _log_decision(wanted, None, judged)
    raise NoNodeAvailableError


def _values(wanted: Wanted, candidate: Candidate) -> dict[str, Any]:
    return {
        "node_id": candidate.node.id,
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "expected_users": wanted.expected_users,
        "recorded": wanted.recorded,
        "cause": f"placed on {candidate.node.name} at score {candidate.score:g}",
    }


def _judge(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> list[Candidate]:
    rows = connection.execute(_SQL["nodes"]).fetchall()
    if not rows:
        return []
    now: datetime = rows[0]["now"]
    # A stale snapshot says less than our own rows.
    fresh = {number: each for number, each in snapshots.items() if each.fresh(now, settings.poll_interval)}
    nodes = [_node(row, row["id"]) for row in rows]
    observed = {
        row["id"]: observed_state(_observation(row), fresh.get(row["id"]), now, settings.poll_interval) for row in rows
    }
    named = {"tenant_id": wanted.tenant_id, "meeting_id": wanted.meeting_id}
    foreign = {row["node_id"] for row in connection.execute(_SQL["foreign_nodes"], named)}
    loaded = _loads(connection, nodes, fresh, now, settings.young_meeting_seconds)
    return candidates(nodes, observed, loaded, refused=refused, foreign=foreign)


def _loads(
    connection: Connection, nodes: list[Node], snapshots: Mapping[int, Snapshot], now: datetime, young_seconds: float
) -> dict[int, Load]:
    young = [Young(**row) for row in connection.execute(_SQL["young"], {"seconds": young_seconds})]
    blind = [node.id for node in nodes if node.id not in snapshots]
    placed: dict[int, tuple[int, float]] = {}
    if blind:
        rows = connection.execute(_SQL["placed"], {"node_ids": blind})
        placed = {row["node_id"]: (row["meetings"], row["users"]) for row in rows}
    return loads(nodes, snapshots, young, placed, now, timedelta(seconds=young_seconds))


def _node(row: Mapping[str, Any], node_id: int) -> Node:
    return Node(
        id=node_id,
        name=row["name"],
        url=row["url"],
        secret=row["secret"],
        admin_state=AdminState(row["admin_state"]),
        weight=row["weight"],
        tags=tuple(row["tags"]),
    )


def _observation(row: Mapping[str, Any]) -> Observation | None:
    if row["observed"] is None:
        return None
    return Observation(state=ObservedState(row["observed"]), reason=row["reason"], since=row["since"])


def _log_decision(wanted: Wanted, chosen: Candidate | None, judged: list[Candidate]) -> None:
    logger.info(
        "meeting placed" if chosen else "no node for a meeting",
        tenant=wanted.tenant_id,
        meeting_id=wanted.meeting_id,
        node=chosen.node.name if chosen else None,
        scores={each.node.name: round(each.score, 2) for each in judged if not each.refusal},
        refusals={each.node.name: each.refusal for each in judged if each.refusal},
    )
