"""Placement in PostgreSQL: one transaction, under a lock, that counts everything placed so far and adds one row.

While the lock is held everybody else waits: it is two round trips, one to ask for all that is needed and one to insert
and commit; a third where a node has no fresh snapshot.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Cursor
from psycopg.rows import DictRow, args_row

from balancer import log
from balancer.core.load import Load, Young, expected_users, loads
from balancer.core.meetings import Placement, State, Wanted
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot, observed_state
from balancer.core.pools import Pool
from balancer.core.selection import Candidate, Request, candidates, unplaced
from balancer.settings import Settings
from balancer.storage.database import Connection, committing
from balancer.storage.nodes import read_node
from balancer.storage.sql import queries

_SQL = queries("meetings")
#: Nodes whose scores a decision's log line tells, the best first: a line stays readable with hundreds of them.
_SCORES = 20
#: Characters of a create's tags in a log line.
_TAG_SHOWN = 200

logger = log.get(__name__)


@dataclass(frozen=True)
class Evidence:
    """What a placement is judged by, asked of PostgreSQL. In a pipeline it comes with the first that is read."""

    nodes: Cursor[DictRow]
    peaks: Cursor[DictRow]  #: of users in the room's last meetings
    young: Cursor[Young]


def ask_live(connection: Connection, tenant_id: int, meeting_id: str) -> Cursor[DictRow]:
    """Ask for the live row of a tenant's meetingID, and its node: for ``read_live``."""
    return connection.execute(_SQL["live"], {"tenant_id": tenant_id, "meeting_id": meeting_id})


def read_live(found: Cursor[DictRow]) -> Placement | None:
    """What ``ask_live`` found."""
    row = found.fetchone()
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


def gather(connection: Connection, wanted: Wanted, settings: Settings) -> Evidence:
    """Ask for what ``place`` and ``judge`` need; never from a cache."""
    named = {"tenant_id": wanted.tenant_id, "meeting_id": wanted.meeting_id}
    return Evidence(
        nodes=connection.execute(_SQL["nodes"], named),
        peaks=connection.execute(_SQL["peaks"], named),
        young=_young(connection, settings.young_meeting_seconds),
    )


def place(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    evidence: Evidence,
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> Placement | None:
    """Reserve the best node and commit; the caller holds the placement lock and has found no live row.

    None where what was gathered is no longer true: while we chose, an operator took the node out of service, or a poll
    or a long create took back, without that lock, a lost row of this meetingID. snapshots may be older than the
    transaction: what was placed since their polls is counted from rows. Raises NoNodeAvailableError.
    """
    judged = judge(connection, wanted, refused, evidence, snapshots, settings)
    expected = expected_users(wanted.parameters, [row["peak_users"] for row in evidence.peaks], settings.expected_users)
    chosen = judged[0] if judged and not judged[0].refusal else None
    if chosen is None:
        _log_decision(wanted, expected, None, judged)
        raise unplaced(judged, Pool.asked(wanted.parameters))
    with committing(connection):
        inserted = connection.execute(_SQL["insert"], _values(wanted, expected, chosen))
    row = inserted.fetchone()
    if row is None:
        return None
    _log_decision(wanted, expected, chosen, judged)
    return Placement(
        id=row["id"],
        tenant_id=wanted.tenant_id,
        meeting_id=wanted.meeting_id,
        state=State.CREATING,
        node=chosen.node,
    )


def judge(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    evidence: Evidence,
    snapshots: Mapping[int, Snapshot],
    settings: Settings,
) -> list[Candidate]:
    """Every node as it would be chosen now, the best first; writes nothing."""
    rows = evidence.nodes.fetchall()
    if not rows:
        return []
    now: datetime = rows[0]["now"]
    # A stale snapshot says less than our own rows.
    fresh = {number: each for number, each in snapshots.items() if each.fresh(now, settings.poll_interval)}
    known = [read_node(row, row["id"]) for row in rows]
    observed = {
        row["id"]: observed_state(_observation(row), fresh.get(row["id"]), now, settings.poll_interval) for row in rows
    }
    foreign = {row["id"] for row in rows if row["is_foreign"]}
    request = Request(pool=Pool.asked(wanted.parameters), refused=refused, foreign=foreign)
    young = evidence.young.fetchall()
    return candidates(known, observed, _loads(connection, known, fresh, young, now, settings), request)


def young_meetings(connection: Connection, seconds: float) -> list[Young]:
    """Live meetings that were placed in the last so many seconds."""
    return _young(connection, seconds).fetchall()


def _young(connection: Connection, seconds: float) -> Cursor[Young]:
    cursor = connection.cursor(binary=True, row_factory=args_row(Young))
    return cursor.execute(_SQL["young"], {"seconds": seconds})


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
    connection: Connection,
    known: list[Node],
    snapshots: Mapping[int, Snapshot],
    young: Iterable[Young],
    now: datetime,
    settings: Settings,
) -> dict[int, Load]:
    blind = [node.id for node in known if node.id not in snapshots]
    placed: dict[int, tuple[int, float]] = {}
    if blind:
        rows = connection.execute(_SQL["placed"], {"node_ids": blind})
        placed = {row["node_id"]: (row["meetings"], row["users"]) for row in rows}
    young_for = timedelta(seconds=settings.young_meeting_seconds)
    return loads(known, snapshots, young, placed, now, young_for, video_weight=settings.video_weight)


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
        tag=wanted.parameters.text("meta_server-tag")[:_TAG_SHOWN],
        expected_users=expected,
        node=chosen.node.name if chosen else None,
        score=round(chosen.score, 2) if chosen else None,
        scores={each.node.name: round(each.score, 2) for each in fit[:_SCORES]},
        at_soft_limit=[each.node.name for each in fit if each.avoided],
        refusals=refusals,
    )
