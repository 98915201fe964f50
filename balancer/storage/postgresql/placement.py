"""LiveMeeting in PostgreSQL: one statement, under a lock, that counts everything placed so far and adds one row.

The lock is taken and given back within that statement (function choose_node), so that a process that hangs holds up
nobody. What stays the same from one poll to the next is worked out before, for many placements: the ``Outlook``.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Self

from psycopg.rows import args_row

from balancer import log
from balancer.core.load import Load, Seen, Unseen, Young, load, room, seen
from balancer.core.meetings import LiveMeeting, State, Wanted
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot, observed_state
from balancer.core.pools import Pool
from balancer.core.selection import Candidate, Request, candidates, rank, unfit
from balancer.errors import BBBError
from balancer.settings import Settings
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.nodes import read_node
from balancer.storage.postgresql.prepared import Prepared
from balancer.storage.postgresql.sql import queries

_SQL = queries("meetings")
_PLACE = Prepared("place", _SQL["place"])
#: Pools for which an outlook keeps what choose_node is told; creates that ask for others are rare.
_POOLS = 20
#: Characters of a create's tags in a log line.
_TAG_SHOWN = 200

logger = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The nodes, and what polls and the rows of young meetings tell of them.

    Each placement counts anew what was placed since. A node that was changed, or observed in another state, since then
    is left out.
    """

    now: datetime  #: PostgreSQL's
    nodes: Sequence[Node]
    changes: Mapping[int, datetime]  #: when each was last changed
    observations: Mapping[int, Observation]
    observed: Mapping[int, ObservedState]  #: of every node; stale ones are told apart
    seen: Mapping[int, Seen]  #: of the nodes with a fresh snapshot: a stale one says less than our own rows
    video_weight: float  #: users that one webcam weighs as much as
    _known: dict[Pool, "_Known"] = field(default_factory=dict)

    def known(self, pool: Pool) -> "_Known":
        """What it tells of all nodes to placements that ask for this pool."""
        found = self._known.get(pool)
        if found is None:
            told = [self._told(node, pool) for node in self.nodes]
            late = [name for each in self.seen.values() for name in each.late]
            refusals = _by_refusal((unfit(node, self.observed[node.id], pool), node) for node in self.nodes)
            found = _Known(json.dumps({"nodes": told, "late": late}), refusals, sum(map(len, refusals.values())))
            if len(self._known) < _POOLS:
                self._known[pool] = found
        return found

    def loads(self, unseen: Mapping[int, Unseen]) -> dict[int, Load]:
        """Of every node."""
        return {node.id: self._load(node, unseen.get(node.id, Unseen())) for node in self.nodes}

    def _load(self, node: Node, unseen: Unseen) -> Load:
        return load(self.seen.get(node.id), unseen, video_weight=self.video_weight)

    def _told(self, node: Node, pool: Pool) -> dict[str, Any]:
        there, before, last = self.seen.get(node.id), self._load(node, Unseen()), self.observations.get(node.id)
        return {
            "id": node.id,
            "rank": rank(node, self.observed[node.id], pool),
            "changed": self.changes[node.id].isoformat(),
            "state": last.state if last else None,
            "poll": there.snapshot.poll_started.isoformat() if there else None,
            "people": before.people,
            "video": before.video,
            "meetings": before.meetings,
        }


class _Known(NamedTuple):
    """What an outlook tells of all nodes to placements that ask for one pool."""

    nodes: str  #: what choose_node takes as known
    #: Names of the nodes that may take no meeting of the pool at all, by the reason.
    refusals: Mapping[str, Sequence[str]]
    refused: int  #: how many those are


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a placement, and why."""

    wanted: Wanted
    outlook: Outlook
    known: _Known
    request: Request
    unseen: Mapping[int, Unseen]
    live_id: int | None  #: the row that the meetingID has already; then nothing else was looked at
    row_id: int | None  #: the new one; None where none was to be, or the rows moved on meanwhile
    chosen: Node | None  #: None: no node is fit
    score: float | None  #: of the chosen one
    contenders: "_Contenders"

    @property
    def refused(self) -> bool:
        """Whether every node is, by what is known of them; else something changed meanwhile."""
        return all(each.refusal for each in self.judged)

    @cached_property
    def judged(self) -> list[Candidate]:
        """Every node, the best first."""
        return candidates(self.outlook.nodes, self.outlook.observed, self.outlook.loads(self.unseen), self.request)

    def placement(self, row_id: int) -> LiveMeeting:
        """The new row."""
        return LiveMeeting(
            id=row_id,
            tenant_id=self.wanted.tenant_id,
            meeting_id=self.wanted.meeting_id,
            state=State.CREATING,
            node=self.chosen,
        )

    def log(self) -> None:
        """One line that tells it all."""
        logger.info(
            "no node for a meeting" if self.row_id is None else "meeting placed",
            tenant_id=self.wanted.tenant_id,
            meeting_id=self.wanted.meeting_id,
            tag=self.wanted.parameters.text("meta_server-tag")[:_TAG_SHOWN],
            expected_users=self.request.expected_users,
            node=self.chosen.name if self.chosen else None,
            score=None if self.score is None else round(self.score, 2),
            scores={name: round(score, 2) for name, score in self.contenders.best},
            at_soft_limit=self.contenders.avoided,
            refusals=self.refusals(),
        )

    def refusals(self) -> Mapping[str, Sequence[str]]:
        """Names of the nodes that may not take the meeting, by the reason."""
        everywhere = not (self.request.refused or self.request.foreign or self.request.only)
        if everywhere and self.contenders.number + self.known.refused == len(self.outlook.nodes):
            return self.known.refusals
        return _by_refusal((each.refusal, each.node) for each in self.judged)


class _Contenders(NamedTuple):
    """Nodes that were chosen among."""

    number: int = 0
    best: Sequence[tuple[str, float]] = ()  #: some, the best first: name and score
    avoided: Sequence[str] = ()  #: names of all that are at a soft limit


class _Placed(NamedTuple):
    """What choose_node says of these; the last three in JSON."""

    live_id: int | None
    row_id: int | None
    chosen_id: int | None
    chosen_score: float | None
    expected: float | None
    unseen: str | None
    foreign_ids: str | None
    contenders: str | None

    @classmethod
    def read(cls, *columns: str | None) -> Self:
        """From the columns as PostgreSQL writes them."""
        live_id, row_id, chosen_id, chosen_score, expected, unseen, foreign_ids, contenders = columns
        return cls(
            live_id=int(live_id) if live_id else None,
            row_id=int(row_id) if row_id else None,
            chosen_id=int(chosen_id) if chosen_id else None,
            chosen_score=float(chosen_score) if chosen_score else None,
            expected=float(expected) if expected else None,
            unseen=unseen,
            foreign_ids=foreign_ids,
            contenders=contenders,
        )


def live(connection: Connection, tenant_id: int, meeting_id: str) -> LiveMeeting | None:
    """The live row of a tenant's meetingID, and its node."""
    named = {"tenant_id": tenant_id, "meeting_id": meeting_id}
    row = connection.execute(_SQL["live"], named).fetchone()
    if row is None:
        return None
    return LiveMeeting(
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
    # Before the nodes themselves: of one that is changed in between the older time is known, and it is left out.
    changes = nodes.changes(connection)
    registered = [node for node in nodes.all_nodes(connection) if node.id in changes]
    known = nodes.observations(connection)
    return Outlook(
        now=now,
        nodes=registered,
        changes=changes,
        observations=known,
        observed={
            node.id: observed_state(known.get(node.id), fresh.get(node.id), now, settings.poll_interval)
            for node in registered
        },
        seen={number: seen(each, by_node.get(number, ()), now, young_for) for number, each in fresh.items()},
        video_weight=settings.video_weight,
    )


def decide(
    connection: Connection,
    wanted: Wanted,
    refused: Collection[int],
    known: Outlook,
    settings: Settings,
    *,
    reserve: bool = False,
) -> Decision:
    """Choose a node, and add the meeting's row where ``reserve`` says so; a transaction of its own is best.

    refused: ids of nodes that will not do. Raises BBBError for a breakout room whose parent is not there.
    """
    by_id = {node.id: node for node in known.nodes}
    only, expected = _parents_node(connection, wanted), room(wanted.parameters)
    # A breakout room goes where its parent is, whatever that node's tags.
    home = by_id.get(only or 0)
    pool = Pool(home.tags) if home else Pool.asked(wanted.parameters)
    told = known.known(pool)
    excluded = {*refused, *(by_id.keys() - {only} if only else ())}
    values = {
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "recorded": wanted.recorded,
        "size_hint": expected.hint,
        "usual_size": settings.expected_users,
        "most": expected.most,
        "refused": f"{{{','.join(map(str, excluded))}}}",  # an array as PostgreSQL writes it
        "known": told.nodes,
        "reserve": reserve,
    }
    found = _Placed.read(*_PLACE.row(connection, values))
    return Decision(
        wanted=wanted,
        outlook=known,
        known=told,
        request=Request(
            pool=pool,
            expected_users=found.expected or 0.0,
            refused=refused,
            foreign=json.loads(found.foreign_ids) if found.foreign_ids else (),
            only=only,
        ),
        unseen={number: Unseen(*each) for number, *each in json.loads(found.unseen)} if found.unseen else {},
        live_id=found.live_id,
        row_id=found.row_id,
        chosen=by_id.get(found.chosen_id or 0),
        score=found.chosen_score,
        contenders=_Contenders(**json.loads(found.contenders)) if found.contenders else _Contenders(),
    )


def _parents_node(connection: Connection, wanted: Wanted) -> int | None:
    """None where no parent is named, which the node judges.

    Raises BBBError where the tenant has no such meeting: a node would take another tenant's.
    """
    if not wanted.parent:
        return None
    named = {"tenant_id": wanted.tenant_id, "parent": wanted.parent}
    row = connection.execute(_SQL["parents_node"], named).fetchone()
    if row is None:
        raise BBBError("No parent meeting exists for the breakout room", "parentMeetingDoesNotExist")
    return int(row["node_id"])


def _by_refusal(judged: Iterable[tuple[str, Node]]) -> dict[str, list[str]]:
    """Names of the nodes that are refused, by the reason."""
    found: dict[str, list[str]] = {}
    for refusal, node in judged:
        if refusal:
            found.setdefault(refusal, []).append(node.name)
    return found
