"""Running meetings, for requests: where one is, and which ones a tenant has."""

from psycopg.rows import args_row

from balancer import log
from balancer.core.meeting_list import TenantMeeting
from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.whereabouts import Location, Whereabouts

_SQL = queries("meetings")

logger = log.get(__name__)


class RunningMeetings:
    """Redis answers first. If it is away or does not know a meeting, PostgreSQL does."""

    def __init__(self, database: Database, whereabouts: Whereabouts) -> None:
        self._database = database
        self._whereabouts = whereabouts

    def find(self, tenant_id: int, meeting_id: str) -> Location | None:
        """Where a meeting is running, by either of its IDs. Raises StorageUnavailableError if no store can answer."""
        try:
            location = self._whereabouts.find(tenant_id, meeting_id)
        except StorageUnavailableError as error:
            logger.warning("location not read from Redis", reason=str(error))
            location = None
        return location or self._find_row(tenant_id, meeting_id)

    def _find_row(self, tenant_id: int, meeting_id: str) -> Location | None:
        with self._database.single() as connection:
            row = connection.execute(_SQL["running"], {"tenant_id": tenant_id, "meeting_id": meeting_id}).fetchone()
        if row is None:
            return None
        location = Location(row["id"], row["node_id"], row["internal_meeting_id"])
        self.copy(tenant_id, row["meeting_id"], location)
        return location

    def copy(self, tenant_id: int, meeting_id: str, location: Location, initial_listing: str = "") -> None:
        """Copy a location to Redis. Joins work without it, and getMeetings then lists a new meeting by its row."""
        try:
            self._whereabouts.note(tenant_id, meeting_id, location, initial_listing)
        except StorageUnavailableError as error:
            logger.warning("location not copied to Redis", meeting_id=meeting_id, reason=str(error))

    def forget_copy(self, tenant_id: int, meeting_id: str, location: Location) -> None:
        """Make the next ``find`` ask PostgreSQL, unless Redis has a later row by then."""
        try:
            self._whereabouts.forget(tenant_id, meeting_id, location.row)
        except StorageUnavailableError as error:
            logger.warning("location not removed from Redis", meeting_id=meeting_id, reason=str(error))

    def of_tenant(self, tenant_id: int) -> list[TenantMeeting]:
        """A tenant's running meetings, for getMeetings. Raises StorageUnavailableError."""
        with self._database.single() as connection:
            cursor = connection.cursor(binary=True, row_factory=args_row(TenantMeeting))
            return cursor.execute(_SQL["of_tenant"], {"tenant_id": tenant_id}).fetchall()
