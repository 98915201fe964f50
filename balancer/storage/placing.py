"""Placement in PostgreSQL: one transaction, under a lock, that counts everything placed so far and adds one row.

While the lock is held everybody else waits: it is two round trips, one to ask for all that is needed and one to insert
and commit. What stays the same from one poll to the next is worked out before, for many placements: the ``Outlook``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Cursor
from psycopg.rows import DictRow, args_row

from balancer import log
from balancer.core.load import Seen, Unseen, Young, expected_users, load, seen
from balancer.core.meetings import Placement, State, Wanted
from balancer.core.nodes import Observation, ObservedState, Snapshot, observed_state
from balancer.core.pools import Pool
from balancer.core.selection import Candidate, Request, candidates, unplaced
from balancer.settings import Settings
from balancer.storage import clock
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
class Outlook:
    """What polls told, put together with the rows of young meetings. Later placements are counted from rows, so its age
    does not skew a score."""

    now: datetime  #: PostgreSQL's
    seen: Mapping[int, Seen]  #: of the nodes with a fresh snapshot: a stale one says less than our own rows


def live(connection: Connection, tenant_id: int, meeting_id: str) -> Placement | None:
    """The live row of a tenant's meetingID, and its node."""
    named = {"tenant_id": tenant_id, "meeting_id": meeting_id}
    row = connection.execute(_SQL["live"], named).fetchone()
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


def outlook(connection: Connection, snapshots: Mapping[int, Snapshot], settings: Settings) -> Outlook:
    """snapshots: the last of each node, read before."""
    now, young_for = clock.now(connection), timedelta(seconds=settings.young_meeting_seconds)
    cursor = connection.cursor(binary=True, row_factory=args_row(Young))
    by_node: dict[int, list[Young]] = {}
    for meeting in cursor.execute(_SQL["young"], {"seconds": settings.young_meeting_seconds}):
        by_node.setdefault(meeting.node_id, []).append(meeting)
    fresh = {number: each for number, each in snapshots.items() if each.fresh(now, settings.poll_interval)}
    return Outlook(now, {number: seen(each, by_node.get(number, ()), now, young_for) for number, each in fresh.items()})


def gather(connection: Connection, wanted: Wanted, known: Outlook) -> Cursor[DictRow]:
    """Ask for what ``place`` and ``judge`` need, never from a cache; in a pipeline it comes when it is read."""
    values = {
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "node_ids": list(known.seen),
        "polls": [each.snapshot.poll_started for each in known.seen.values()],
        "late": [name for each in known.seen.values() for name in each.late],
    }
    return connection.execute(_SQL["nodes"], values)


def place(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    rows: list[DictRow],
    known: Outlook,
    settings: Settings,
) -> Placement | None:
    """Reserve the best node and commit; the caller holds the placement lock. rows: what ``gather`` found.

    None where the meetingID has a live row, or the rows are no longer true: while we chose, an operator took the node
    out of service, or a poll or a long create took back, without that lock, a lost row of this meetingID.
    Raises NoNodeAvailableError.
    """
    if rows and rows[0]["live"] is not None:
        return None
    request = _request(rows, wanted, refused, settings)
    judged, expected = _judged(rows, request, known, settings), request.expected_users
    chosen = judged[0] if judged and not judged[0].refusal else None
    if chosen is None:
        _log_decision(wanted, expected, None, judged)
        raise unplaced(judged, request.pool)
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


def judge(wanted: Wanted, rows: list[DictRow], known: Outlook, settings: Settings) -> list[Candidate]:
    """Every node as it would be chosen now, the best first. rows: what ``gather`` found."""
    return _judged(rows, _request(rows, wanted, (), settings), known, settings)


def _request(rows: list[DictRow], wanted: Wanted, refused: Collection[int], settings: Settings) -> Request:
    peaks = rows[0]["peaks"] if rows else ()
    return Request(
        pool=Pool.asked(wanted.parameters),
        expected_users=expected_users(wanted.parameters, peaks, settings.expected_users),
        refused=refused,
        foreign={row["id"] for row in rows if row["is_foreign"]},
    )


def _judged(rows: list[DictRow], request: Request, known: Outlook, settings: Settings) -> list[Candidate]:
    nodes, observed, loads = [], {}, {}
    for row in rows:
        number = row["id"]
        there = known.seen.get(number)
        snapshot = there.snapshot if there else None
        nodes.append(read_node(row, number))
        observed[number] = observed_state(_observation(row), snapshot, known.now, settings.poll_interval)
        unseen = Unseen(row["unseen_meetings"], row["unseen_users"])
        loads[number] = load(there, unseen, video_weight=settings.video_weight)
    return candidates(nodes, observed, loads, request)


def _values(wanted: Wanted, expected: float, chosen: Candidate) -> dict[str, Any]:
    return {
        "node_id": chosen.node.id,
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "expected_users": expected,
        "recorded": wanted.recorded,
        "cause": f"placed on {chosen.node.name} at score {chosen.score:g}",
    }


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
