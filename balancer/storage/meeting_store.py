"""Table meetings: placements, their transitions, and the copies of them in Redis.

Every transition is a conditional UPDATE that must change exactly one row, recorded with its cause in one statement.
"""

import time
from collections.abc import Callable, Collection

import psycopg.errors
from psycopg import Cursor
from psycopg.rows import DictRow, args_row

from balancer import log
from balancer.core.listing import Listed
from balancer.core.meetings import Identity, Placement, State, Wanted
from balancer.core.nodes import AdminState
from balancer.core.selection import unplaced
from balancer.core.settlement import Row, Step, settle
from balancer.errors import NoNodeAvailableError, StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.outlook import Outlook, OutlookCache
from balancer.storage.postgresql import operator_queries
from balancer.storage.postgresql import placement as placing
from balancer.storage.postgresql.database import Connection, Database, committing
from balancer.storage.postgresql.placement import Decision
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.whereabouts import Place, Whereabouts

_SQL = queries("meetings")

_CREATED = "its node created it"
#: Times that a placement is tried: each time something else has to have changed meanwhile.
_PLACEMENTS = 8
#: Seconds for which Redis is not asked again once it failed.
_PAUSE = 1.0

logger = log.get(__name__)


class Meetings:
    """The core's MeetingStore. Every method raises StorageUnavailableError where PostgreSQL cannot be used."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        placements: Whereabouts,
        snapshots: OutlookCache,
        polls: PollRequests,
    ) -> None:
        self._settings = settings
        self._database = database
        self._placements = placements
        self._snapshots = snapshots
        self._polls = polls
        self._redis_away_until = 0.0  #: of time.monotonic()

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[Placement, bool]:
        """The live row, or a new one on the best node; whether it is new. Raises NoNodeAvailableError."""
        # A create of a meeting that is there does not wait for the lock.
        if (placement := self._live(wanted.tenant_id, wanted.meeting_id)) is not None:
            return placement, False

        def reserve(outlook: Outlook) -> Decision:
            with self._database.transaction() as connection:
                return placing.reserve(connection, wanted, refused, outlook, self._settings)

        return self._placed(wanted, reserve)

    def move(
        self, placement: Placement, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[Placement, bool]:
        """As ``place``, and in the same transaction the existing row is lost, unless it changed meanwhile.

        If every node is refused NoNodeAvailableError is raised, and that row stays as it is.
        """

        def reserve_instead(outlook: Outlook) -> Decision:
            with self._database.transaction() as connection:
                given_up = self._give_up(connection, placement, cause)
                decision = placing.reserve(connection, wanted, refused, outlook, self._settings)
                if decision.row_id is None:
                    connection.rollback()
            if given_up and decision.row_id is not None:
                self._note_finished(placement, State.LOST, cause)
            return decision

        return self._placed(wanted, reserve_instead)

    def _give_up(self, connection: Connection, placement: Placement, cause: str) -> bool:
        """Lose the row before its successor is reserved, which takes the lock that all placements wait for."""
        connection.execute(_SQL["limit_idle_time"])
        if placement.node:
            connection.execute(_SQL["lock_node"], {"id": placement.node.id})
        return _finish(connection, placement.id, placement.state, State.LOST, cause)

    def _placed(self, wanted: Wanted, reserve: Callable[[Outlook], Decision]) -> tuple[Placement, bool]:
        """The row that ``reserve`` adds, or the live one; whether it is new."""
        outlook = self._snapshots.outlook()
        for _ in range(_PLACEMENTS):  # once, unless something changed meanwhile
            decision = reserve(outlook)
            if decision.row_id is not None:
                decision.log()
                return decision.placement(decision.row_id), True
            if decision.live_id is not None:
                if (there := self._live(wanted.tenant_id, wanted.meeting_id)) is not None:
                    return there, False
            elif not (decision.chosen or decision.request.changed) and self._snapshots.is_recent(outlook):
                decision.log()
                raise unplaced(decision.candidates, decision.request.pool)
            else:
                # A node may have come into service, or gone out of it, a moment ago.
                outlook = self._snapshots.outlook(after=outlook)
            logger.warning("placement tried again", meeting_id=wanted.meeting_id)
        decision.log()
        raise NoNodeAvailableError("No server took the meeting. Please try again in a moment.")

    def _live(self, tenant_id: int, meeting_id: str) -> Placement | None:
        """The live row of a tenant's meetingID. Front ends create before every join, so joins find a fresh copy."""
        with self._database.single() as connection:
            found = placing.live(connection, tenant_id, meeting_id)
        if found and found.node and found.internal_meeting_id:
            self._copy(tenant_id, meeting_id, Place(found.id, found.node.id, found.internal_meeting_id))
        return found

    def settle(self, placement: Placement, found: Identity, birth: str = "") -> bool:
        """Make the rows say what the node answered; whether the meeting may be handed out. One transaction."""
        node_id = placement.node.id if placement.node else 0
        if placement.state is State.CREATING and self._begin_new(placement.id, node_id, found):
            self._log_step(placement, Step.BEGIN, placement.id)
            place = Place(placement.id, node_id, found.internal_meeting_id)
            self._copy(placement.tenant_id, placement.meeting_id, place, birth)
            return True
        with self._database.transaction() as connection:
            named = {
                "id": placement.id,
                "tenant_id": placement.tenant_id,
                "node_id": node_id,
                "internal_meeting_id": found.internal_meeting_id,
            }
            with connection.pipeline():
                nodes = connection.execute(_SQL["lock_node"], {"id": node_id})
                connection.execute(_SQL["lock_rows"], named)
                # Read anew: whoever was waited for may have added the very row that counts.
                rows = connection.execute(_SQL["row"], {"id": placement.id})
                namesakes = connection.execute(_SQL["namesake"], named)
            node, row, namesake = nodes.fetchone(), _row(rows), _row(namesakes)
            if row is None:
                return False
            enabled = node is not None and node["admin_state"] == AdminState.ENABLED
            step = settle(row, namesake, found, enabled=enabled)
            running = self._take(connection, step, row, namesake, found)
        self._log_step(placement, step, running)
        if running:
            place = Place(running, node_id, found.internal_meeting_id)
            self._copy(placement.tenant_id, placement.meeting_id, place, birth)
        elif step in (Step.DISOWN, Step.DISOWN_SUCCESSOR):
            self._poll_soon(node_id)
        return step.hands_out and running is not None

    def finish(self, placement: Placement, state: State, cause: str) -> bool:
        """The row is live no more; False where it had already changed."""
        with self._database.transaction() as connection:
            changed = _finish(connection, placement.id, placement.state, state, cause)
        if changed:
            self._note_finished(placement, state, cause)
        return changed

    def _note_finished(self, placement: Placement, state: State, cause: str) -> None:
        """What a row that is live no more has to do with others than PostgreSQL."""
        self._log(placement, placement.state, state, cause)
        self._forget(placement.tenant_id, placement.meeting_id, placement.id)
        if state is State.LOST and placement.node:
            self._poll_soon(placement.node.id)

    def mostly_unreachable(self) -> bool:
        """Whether more than half of the nodes in service are unreachable."""
        with self._database.single() as connection:
            row = connection.execute(_SQL["unreachable"]).fetchone()
        return bool(row and row["unreachable"] * 2 > row["nodes"])

    def find(self, tenant_id: int, meeting_id: str) -> Place | None:
        """Where a running meeting is: from Redis, and where that knows nothing from PostgreSQL.

        Raises StorageUnavailableError where neither can tell.
        """
        place = self._copied(tenant_id, meeting_id)
        if place is not None:
            return place
        named = {"tenant_id": tenant_id, "meeting_id": meeting_id}
        with self._database.single() as connection:
            row = connection.execute(_SQL["running"], named).fetchone()
        if row is None:
            return None
        place = Place(row["id"], row["node_id"], row["internal_meeting_id"])
        self._copy(tenant_id, row["meeting_id"], place)
        return place

    def _copied(self, tenant_id: int, meeting_id: str) -> Place | None:
        """From Redis; one that hangs is not waited for by every request."""
        if time.monotonic() < self._redis_away_until:
            return None
        try:
            return self._placements.find(tenant_id, meeting_id)
        except StorageUnavailableError as error:
            self._redis_away_until = time.monotonic() + _PAUSE
            logger.warning("placement not read from Redis", reason=str(error))
            return None

    def forget_copy(self, tenant_id: int, meeting_id: str, place: Place) -> None:
        """``find`` asks PostgreSQL next, unless Redis knows a later row by then."""
        self._forget(tenant_id, meeting_id, place.row)

    def end_requested(self, place: Place) -> None:
        """Its node took an end for it."""
        with self._database.transaction() as connection:
            operator_queries.note_end(connection, place.row, "its node took an end from the front end")

    def end_confirmed(self, place: Place, cause: str) -> None:
        """Its node does not know it any more."""
        with self._database.transaction() as connection:
            row = _row(connection.execute(_SQL["row"], {"id": place.row}))
            changed = _finish(connection, place.row, State.RUNNING, State.ENDED, cause)
        if row is None:
            return
        if changed:
            logger.info(
                "meeting changed",
                tenant_id=row.tenant_id,
                meeting_id=row.meeting_id,
                row=row.id,
                from_state=State.RUNNING.value,
                to_state=State.ENDED.value,
                cause=cause,
            )
        # Also where the row had ended before: the copy stayed where it was made too late, or Redis was away then.
        self._forget(row.tenant_id, row.meeting_id, row.id)

    def listed(self, tenant_id: int) -> list[Listed]:
        """A tenant's running meetings."""
        with self._database.single() as connection:
            cursor = connection.cursor(binary=True, row_factory=args_row(Listed))
            return cursor.execute(_SQL["listed"], {"tenant_id": tenant_id}).fetchall()

    def _begin_new(self, row: int, node_id: int, found: Identity) -> bool:
        """Carry out the most common step in one round trip; False where it is not the one to take."""
        values = {
            "id": row,
            "node_id": node_id,
            "internal_meeting_id": found.internal_meeting_id,
            "create_time": found.create_time,
            "cause": _CREATED,
        }
        try:
            with self._database.single() as connection:
                return connection.execute(_SQL["begin_new"], values).rowcount == 1
        except psycopg.errors.UniqueViolation:
            return False

    def _take(self, connection: Connection, step: Step, row: Row, namesake: Row | None, found: Identity) -> int | None:
        """Carry a step out; the id of the row that runs then, None where none does."""
        if step is Step.KEEP:
            # Beside a row that runs a namesake is one that a removed node left behind; else it is the one that runs.
            return namesake.id if namesake and row.state is not State.RUNNING else row.id
        if step is Step.REFUSE and row.live:
            _finish(connection, row.id, row.state, State.ENDED, "its node answered with a meeting that is not its own")
        elif step is Step.DISOWN:
            _finish(connection, row.id, row.state, State.LOST, "its node takes no new meetings any more")
        elif step is Step.BEGIN:
            return _begin(connection, row, found, _CREATED)
        elif step is Step.TAKE_BACK and namesake:
            _finish(connection, row.id, row.state, State.ENDED, "its node still had the meeting from before")
            return _begin(connection, namesake, found, "its node still had it")
        elif step in (Step.SUCCEED, Step.DISOWN_SUCCESSOR):
            return self._succeed(connection, row, found, step)
        return None

    def _succeed(self, connection: Connection, row: Row, found: Identity, step: Step) -> int | None:
        if row.state is not State.ENDED:
            _finish(connection, row.id, row.state, State.ENDED, "its node answered create with another meeting")
        values = {
            "id": row.id,
            "state": State.RUNNING.value if step is Step.SUCCEED else State.LOST.value,
            "internal_meeting_id": found.internal_meeting_id,
            "create_time": found.create_time,
            "created_within": self._settings.create_timeout,
            "cause": f"in place of row {row.id}",
        }
        born = connection.execute(_SQL["succeed"], values).fetchone()
        return born["id"] if born and step is Step.SUCCEED else None

    def _log_step(self, placement: Placement, step: Step, running: int | None) -> None:
        node = placement.node.name if placement.node else None
        logger.info(
            "create settled",
            tenant_id=placement.tenant_id,
            meeting_id=placement.meeting_id,
            row=placement.id,
            node=node,
            step=step.name,
            reason=step.value,
            runs=running,
        )

    def _log(self, placement: Placement, before: State, after: State, cause: str) -> None:
        logger.info(
            "meeting changed",
            tenant_id=placement.tenant_id,
            meeting_id=placement.meeting_id,
            row=placement.id,
            from_state=before.value,
            to_state=after.value,
            cause=cause,
        )

    def _copy(self, tenant_id: int, meeting_id: str, place: Place, birth: str = "") -> None:
        """The row is the truth: without its copy joins take the longer way, and a poll has to list it first."""
        try:
            self._placements.note(tenant_id, meeting_id, place, birth)
        except StorageUnavailableError as error:
            logger.warning("placement not copied to Redis", meeting_id=meeting_id, reason=str(error))

    def _poll_soon(self, node_id: int) -> None:
        """A create may have left something there that nobody was told of: the poller closes it."""
        try:
            self._polls.ask([node_id])
        except StorageUnavailableError as error:
            logger.warning("no poll asked for", node_id=node_id, reason=str(error))

    def _forget(self, tenant_id: int, meeting_id: str, row: int) -> None:
        try:
            self._placements.forget(tenant_id, meeting_id, row)
        except StorageUnavailableError as error:
            logger.warning("placement not forgotten in Redis", meeting_id=meeting_id, reason=str(error))


def _row(found: Cursor[DictRow]) -> Row | None:
    row = found.fetchone()
    return None if row is None else Row(**{**row, "state": State(row["state"])})


def _finish(connection: Connection, row: int, before: State, after: State, cause: str) -> bool:
    values = {"id": row, "from_state": before.value, "state": after.value, "cause": cause}
    return connection.execute(_SQL["finish"], values).rowcount == 1


def _begin(connection: Connection, row: Row, found: Identity, cause: str) -> int | None:
    """The row runs; None where its meetingID lives in another row by now, and then the row says lost.

    The last step of its transaction.
    """
    values = {
        "id": row.id,
        "from_state": row.state.value,
        "internal_meeting_id": found.internal_meeting_id,
        "create_time": found.create_time,
        "cause": cause,
    }
    if row.live:
        # Nobody else can have taken its meetingID.
        with committing(connection):
            connection.execute(_SQL["begin"], values)
        return row.id
    try:
        with connection.transaction():
            connection.execute(_SQL["begin"], values)
            return row.id
    except psycopg.errors.UniqueViolation:
        if row.state is State.ENDED and not row.handed_out:
            _finish(connection, row.id, State.ENDED, State.LOST, "another row has its meetingID")
        return None
