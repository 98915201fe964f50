"""The core's MeetingStore in PostgreSQL. Every change is announced after its transaction."""

from collections.abc import Callable, Collection

from balancer import log
from balancer.core.meetings import Identity, LiveMeeting, State, Wanted
from balancer.core.selection import unplaced
from balancer.errors import NoNodeAvailableError
from balancer.settings import Settings
from balancer.storage.announcer import Announcer
from balancer.storage.outlook import Outlook, OutlookCache
from balancer.storage.postgresql import create_outcome, transitions
from balancer.storage.postgresql import placement as placing
from balancer.storage.postgresql.create_outcome import Settlement
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.placement import Decision
from balancer.storage.postgresql.sql import queries
from balancer.storage.postgresql.transitions import Change
from balancer.storage.redis.whereabouts import Location
from balancer.storage.running_meetings import RunningMeetings

_SQL = queries("meetings")

#: Attempts to place a meeting; a further one is needed only if something else changed during the one before.
_PLACEMENTS = 8

logger = log.get(__name__)


class DatabaseMeetingStore:
    """Every method raises StorageUnavailableError if PostgreSQL cannot be used; without Redis all of them work."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        snapshots: OutlookCache,
        running: RunningMeetings,
        announcer: Announcer,
    ) -> None:
        self._settings = settings
        self._database = database
        self._snapshots = snapshots
        self._running = running
        self._announcer = announcer

    def place(self, wanted: Wanted, refused: Collection[int]) -> tuple[LiveMeeting, bool]:
        """The live row, or a new one on the best node; whether it is new. Raises NoNodeAvailableError."""
        # A create of a meeting that is there does not wait for the lock.
        if (meeting := self._live(wanted.tenant_id, wanted.meeting_id)) is not None:
            return meeting, False

        def reserve(outlook: Outlook, queue: bool) -> Decision:
            with self._database.transaction() as connection:
                placing.prepare(connection, queue=queue)
                decision = placing.choose(connection, wanted, refused, outlook, self._settings)
                if queue:
                    return placing.reserve(connection, decision)
            # Outside of a transaction, which would hold the node's locks until this process gets to its end.
            with self._database.single() as connection:
                return placing.reserve(connection, decision)

        return self._placed(wanted, reserve)

    def move(
        self, meeting: LiveMeeting, wanted: Wanted, refused: Collection[int], cause: str
    ) -> tuple[LiveMeeting, bool]:
        """As ``place``, and in the same transaction the existing row becomes lost, unless it has changed.

        Raises NoNodeAvailableError if every node is refused; that row then stays as it is.
        """

        def reserve_instead(outlook: Outlook, queue: bool) -> Decision:
            with self._database.transaction() as connection:
                placing.prepare(connection, queue=queue)
                lost = self._lose(connection, meeting, cause)
                decision = placing.choose(connection, wanted, refused, outlook, self._settings)
                decision = placing.reserve(connection, decision)
                if decision.row_id is None:
                    connection.rollback()
            if decision.row_id is not None:
                self._announcer.try_announce(lost)
            return decision

        return self._placed(wanted, reserve_instead)

    def _lose(self, connection: Connection, meeting: LiveMeeting, cause: str) -> list[Change]:
        """Lose the row. Its node is locked first, as everywhere."""
        if meeting.node:
            connection.execute(queries("create_outcome")["lock_node"], {"id": meeting.node.id})
        return transitions.finish(connection, [meeting.id], meeting.state, State.LOST, cause)

    def _placed(self, wanted: Wanted, reserve: Callable[[Outlook, bool], Decision]) -> tuple[LiveMeeting, bool]:
        """The row that ``reserve`` adds, or the live one; whether it is new."""
        outlook, queue = self._snapshots.outlook(), False
        for _ in range(_PLACEMENTS):
            decision = reserve(outlook, queue)
            if decision.row_id is not None:
                decision.log()
                return decision.placement(decision.row_id), True
            if decision.live_id is not None:
                if (meeting := self._live(wanted.tenant_id, wanted.meeting_id)) is not None:
                    return meeting, False
            elif decision.chosen and not queue:
                queue = True  # another meeting was placed on that node in between
                continue
            elif not (decision.chosen or decision.request.changed) and self._snapshots.is_recent(outlook):
                decision.log()
                raise unplaced(decision.candidates, decision.request.pool)
            else:
                # A node may have come into service, or gone out of it, a moment ago.
                outlook = self._snapshots.outlook(after=outlook)
            logger.warning("placement tried again", meeting_id=wanted.meeting_id)
        decision.log()
        raise NoNodeAvailableError("No server took the meeting. Please try again in a moment.")

    def _live(self, tenant_id: int, meeting_id: str) -> LiveMeeting | None:
        """The live row of a tenant's meetingID. Its location is copied, because front ends create before each join."""
        with self._database.single() as connection:
            found = placing.live(connection, tenant_id, meeting_id)
        if found and found.node and found.internal_meeting_id:
            location = Location(found.id, found.node.id, found.internal_meeting_id)
            self._running.copy(tenant_id, meeting_id, location)
        return found

    def settle(self, meeting: LiveMeeting, reported: Identity, initial_listing: str = "") -> bool:
        """Make the rows agree with what the node reported. Returns whether the meeting may be handed out."""
        timeout = self._settings.create_timeout
        settled = create_outcome.carry_out(self._database, meeting, reported, create_timeout=timeout)
        self._log(meeting, settled)
        if settled.running is None:
            self._announcer.try_announce(settled.changes)
            return False
        location = Location(settled.running, meeting.node.id if meeting.node else 0, reported.internal_meeting_id)
        self._running.copy(meeting.tenant_id, meeting.meeting_id, location, initial_listing)
        return settled.step.hands_out

    def finish(self, meeting: LiveMeeting, state: State, cause: str) -> bool:
        """End or lose the row. False if it had already changed."""
        with self._database.transaction() as connection:
            changes = transitions.finish(connection, [meeting.id], meeting.state, state, cause)
        self._announcer.try_announce(changes)
        return bool(changes)

    def mostly_unreachable(self) -> bool:
        """Whether more than half of the nodes in service are unreachable."""
        with self._database.single() as connection:
            row = connection.execute(_SQL["unreachable"]).fetchone()
        return bool(row and row["unreachable"] * 2 > row["nodes"])

    def _log(self, meeting: LiveMeeting, settled: Settlement) -> None:
        logger.info(
            "create settled",
            tenant_id=meeting.tenant_id,
            meeting_id=meeting.meeting_id,
            row=meeting.id,
            node=meeting.node.name if meeting.node else None,
            step=settled.step.name,
            reason=settled.step.value,
            runs=settled.running,
        )
