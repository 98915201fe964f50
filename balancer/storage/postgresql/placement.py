"""Placement in PostgreSQL: a survey counts all placements so far, core.selection decides, one statement adds the row.

That statement adds nothing if another meeting was placed on the node since the survey. No lock is held while a process
decides, so a busy or hung one delays no other. A placement that lost such a race is repeated in a queue. What stays the
same from one poll to the next is read before, for many placements: the Outlook.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import args_row

from balancer import log
from balancer.core.load import Reservations, room
from balancer.core.meetings import LiveMeeting, State, Wanted
from balancer.core.node_tags import Pool
from balancer.core.nodes import AdminState, Node
from balancer.core.selection import Candidate, Request, candidates
from balancer.errors import BBBError
from balancer.settings import Settings
from balancer.storage.outlook import Outlook
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.nodes import read_node
from balancer.storage.postgresql.sql import queries

_SQL = queries("placement")
#: Characters of a create's tags, and nodes with their scores, in a log line.
_TAG_SHOWN, _SCORES_SHOWN = 200, 20

logger = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The outcome of a placement, and why."""

    wanted: Wanted
    request: Request
    candidates: Sequence[Candidate]  #: every node, the best first
    placements: Mapping[int, int]  #: how many meetings were ever placed on each node, by its id
    live_id: int | None = None  #: the row that the meetingID has already; then none was added
    row_id: int | None = None  #: the new one; None if none was to be added, or if the rows changed meanwhile

    @property
    def chosen(self) -> Node | None:
        """None if every node is refused."""
        best = self.candidates[0] if self.candidates else None
        return best.node if best and not best.refusal else None

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
        """Log the decision with its reasons, in one line."""
        fit = [each for each in self.candidates if not each.refusal]
        refusals: dict[str, list[str]] = {}
        for each in self.candidates[len(fit) :]:
            refusals.setdefault(each.refusal, []).append(each.node.name)
        logger.info(
            "no node for a meeting" if self.row_id is None else "meeting placed",
            tenant_id=self.wanted.tenant_id,
            meeting_id=self.wanted.meeting_id,
            tag=self.wanted.parameters.text("meta_server-tag")[:_TAG_SHOWN],
            expected_users=self.request.expected_users,
            node=fit[0].node.name if fit else None,
            score=round(fit[0].score, 2) if fit else None,
            scores={each.node.name: round(each.score, 2) for each in fit[:_SCORES_SHOWN]},
            at_soft_limit=[each.node.name for each in fit if each.avoided],
            refusals=refusals,
        )


class _SurveyRow(NamedTuple):
    """A row of the query ``survey``: a node as it is now, and its meetings that no poll can have seen.

    The last two concern the meeting that is to be placed, and are the same in every row.
    """

    node_id: int
    admin_state: str
    changed_at: datetime
    observed: str | None  #: as stored; None if the node was never polled
    placements: int
    meetings: int
    users: float
    holds_foreign: bool
    live_id: int | None
    peak: float | None

    def matches(self, outlook: Outlook, node: Node) -> bool:
        """Whether the node is as the outlook has it."""
        observation = outlook.observations.get(node.id)
        return (
            self.changed_at == outlook.changes[node.id]
            and AdminState(self.admin_state) is node.admin_state
            and self.observed == (observation.state if observation else None)
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


def choose(
    connection: Connection, wanted: Wanted, failed: Collection[int], outlook: Outlook, settings: Settings
) -> Decision:
    """The node that a meeting would go to now. Nothing is written.

    failed: ids of nodes that will not do. Raises BBBError for a breakout room whose parent meeting is not there.
    """
    return _choose(connection, wanted, _request(connection, wanted, failed, outlook), outlook, settings)


def prepare(connection: Connection, *, queue: bool) -> None:
    """Prepare a transaction for ``choose``. queue: wait for the others that do, until the transaction ends."""
    connection.execute(_SQL["prepare"] + _SQL["queue"] if queue else _SQL["prepare"], prepare=False)


def reserve(connection: Connection, decision: Decision) -> Decision:
    """Add the meeting's row on the chosen node. The result has no row_id if something changed since ``choose``.

    The transaction should end right afterwards, because until then every other placement on that node waits.
    """
    if decision.live_id is not None or decision.chosen is None:
        return decision
    wanted = decision.wanted
    values = {
        "tenant_id": wanted.tenant_id,
        "meeting_id": wanted.meeting_id,
        "node_id": decision.chosen.id,
        "placements": decision.placements[decision.chosen.id],
        "expected_users": decision.request.expected_users,
        "recorded": wanted.recorded,
        "cause": f"placed on {decision.chosen.name} at score {round(decision.candidates[0].score, 2):g}",
    }
    row = connection.execute(_SQL["reserve"], values, prepare=True).fetchone()
    return replace(decision, row_id=row["id"] if row else None)


def _request(connection: Connection, wanted: Wanted, failed: Collection[int], outlook: Outlook) -> Request:
    """What the meeting requires, as far as the create says it."""
    only = _parents_node(connection, wanted)
    home = next((node for node in outlook.nodes if node.id == only), None)
    # A breakout room goes where its parent is, whatever that node's tags.
    return Request(pool=Pool(home.tags) if home else Pool.asked(wanted.parameters), failed=failed, only=only)


def _choose(connection: Connection, wanted: Wanted, request: Request, outlook: Outlook, settings: Settings) -> Decision:
    named = {"tenant_id": wanted.tenant_id, "meeting_id": wanted.meeting_id, **outlook.polls}
    cursor = connection.cursor(binary=True, row_factory=args_row(_SurveyRow))
    rows = {each.node_id: each for each in cursor.execute(_SQL["survey"], named, prepare=True)}
    first = next(iter(rows.values()), None)
    request = replace(
        request,
        expected_users=room(wanted.parameters).expected(first.peak if first else None, settings.expected_users),
        foreign=[each.node_id for each in rows.values() if each.holds_foreign],
        changed=[node.id for node in outlook.nodes if node.id not in rows or not rows[node.id].matches(outlook, node)],
    )
    reserved = {each.node_id: Reservations(each.meetings, each.users) for each in rows.values()}
    return Decision(
        wanted=wanted,
        request=request,
        candidates=candidates(outlook.nodes, outlook.observed, outlook.loads(reserved), request),
        placements={each.node_id: each.placements for each in rows.values()},
        live_id=first.live_id if first else None,
    )


def _parents_node(connection: Connection, wanted: Wanted) -> int | None:
    """The id of the node that has a breakout room's parent; None if no parent is named, which the node judges.

    Raises BBBError if the tenant has no such meeting: a node would take another tenant's.
    """
    if not wanted.parent:
        return None
    named = {"tenant_id": wanted.tenant_id, "parent": wanted.parent}
    row = connection.execute(_SQL["parents_node"], named).fetchone()
    if row is None:
        raise BBBError("No parent meeting exists for the breakout room", "parentMeetingDoesNotExist")
    return int(row["node_id"])
