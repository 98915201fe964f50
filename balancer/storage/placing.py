"""Placement in PostgreSQL: one transaction, under a lock, that counts everything placed so far and adds one row."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from balancer import log
from balancer.core.load import Load, Young, expected_users, loads
from balancer.core.meetings import Placement, State, Wanted
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot, observed_state
from balancer.core.pools import Pool
from balancer.core.selection import Candidate, Request, candidates, unplaced
from balancer.settings import Settings
from balancer.storage.database import Connection
from balancer.storage.nodes import read_node
from balancer.storage.sql import queries

_SQL = queries("meetings")
#: Nodes whose scores a decision's log line tells, the best first: a line stays readable with hundreds of them.
_SCORES = 20

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
        node=None if row["node_id"] is None else read_node(row, row["node_id"]),
        internal_meeting_id=row["internal_meeting_id"],
        unreachable_for=row["unreachable_for"],
    )


def place(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> tuple[Placement, bool]:
    """Reserve the best node; the caller holds the placement lock and has found no live row. True: the row is new.

    A poll, or a create that was long under way, takes a lost row back without that lock: then that one is live.
    snapshots may be older than the transaction: what was placed since their polls is counted from rows.
    Raises NoNodeAvailableError.
    """
    expected = _expected(connection, wanted, settings.expected_users)
    passed = set(refused)
    while True:
        judged = judge(connection, wanted, passed, snapshots, settings)
        chosen = judged[0] if judged and not judged[0].refusal else None
        if chosen is None:
            _log_decision(wanted, expected, None, judged)
            raise unplaced(judged, Pool.asked(wanted.parameters))
        row = connection.execute(_SQL["insert"], _values(wanted, expected, chosen)).fetchone()
        if row is not None:
            _log_decision(wanted, expected, chosen, judged)
            return _reserved(row["id"], wanted, chosen.node), True
        if there := live(connection, wanted.tenant_id, wanted.meeting_id):
            return there, False
        # While we chose, an operator took the node out of service, or another tenant's row of this id came back to it.
        passed.add(chosen.node.id)


def _reserved(row: int, wanted: Wanted, node: Node) -> Placement:
    return Placement(id=row, tenant_id=wanted.tenant_id, meeting_id=wanted.meeting_id, state=State.CREATING, node=node)


def judge(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> list[Candidate]:
    """Every node as it would be chosen now, the best first; writes nothing."""
    rows = connection.execute(_SQL["nodes"]).fetchall()
    if not rows:
        return []
    now: datetime = rows[0]["now"]
    # A stale snapshot says less than our own rows.
    fresh = {number: each for number, each in snapshots.items() if each.fresh(now, settings.poll_interval)}
    known = [read_node(row, row["id"]) for row in rows]
    observed = {
        row["id"]: observed_state(_observation(row), fresh.get(row["id"]), now, settings.poll_interval) for row in rows
    }
    named = {"tenant_id": wanted.tenant_id, "meeting_id": wanted.meeting_id}
    foreign = {row["node_id"] for row in connection.execute(_SQL["foreign_nodes"], named)}
    request = Request(pool=Pool.asked(wanted.parameters), refused=refused, foreign=foreign)
    return candidates(known, observed, _loads(connection, known, fresh, now, settings), request)


def _expected(connection: Connection, wanted: Wanted, default: float) -> float:
    named = {"tenant_id": wanted.tenant_id, "meeting_id": wanted.meeting_id}
    peaks = [row["peak_users"] for row in connection.execute(_SQL["peaks"], named)]
    return expected_users(wanted.parameters, peaks, default)


def _values(wanted: Wanted, expected: float, chosen: Candidate) -> dict[str, Any]:
    return {
        "node_id": chosen.node.id,
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "expected_users": expected,
        "recorded": wanted.recorded,
        "cause": f"placed on {chosen.node.name} at score {chosen.score:g}",
    }


def _loads(
    connection: Connection, known: list[Node], snapshots: Mapping[int, Snapshot], now: datetime, settings: Settings
) -> dict[int, Load]:
    seconds = settings.young_meeting_seconds
    young = [Young(**row) for row in connection.execute(_SQL["young"], {"seconds": seconds})]
    blind = [node.id for node in known if node.id not in snapshots]
    placed: dict[int, tuple[int, float]] = {}
    if blind:
        rows = connection.execute(_SQL["placed"], {"node_ids": blind})
        placed = {row["node_id"]: (row["meetings"], row["users"]) for row in rows}
    return loads(known, snapshots, young, placed, now, timedelta(seconds=seconds), video_weight=settings.video_weight)


def _observation(row: Mapping[str, Any]) -> Observation | None:
    if row["observed"] is None:
        return None
    return Observation(state=ObservedState(row["observed"]), reason=row["reason"], since=row["since"])


def _log_decision(wanted: Wanted, expected: float, chosen: Candidate | None, judged: list[Candidate]) -> None:
    """One line that tells the whole decision."""
    fit = [each for each in judged if not each.refusal]
    refusals: dict[str, list[str]] = {}
    for each in judged:
        if each.refusal:
            refusals.setdefault(each.refusal, []).append(each.node.name)
    logger.info(
        "meeting placed" if chosen else "no node for a meeting",
        tenant=wanted.tenant_id,
        meeting_id=wanted.meeting_id,
        tag=wanted.parameters.text("meta_server-tag"),
        expected_users=expected,
        node=chosen.node.name if chosen else None,
        score=round(chosen.score, 2) if chosen else None,
        scores={each.node.name: round(each.score, 2) for each in fit[:_SCORES]},
        at_soft_limit=[each.node.name for each in fit if each.avoided],
        refusals=refusals,
    )
