"""What a node's answer to an end means for the meeting's row."""

from balancer.core.meetings import State
from balancer.storage.announcer import Announcer
from balancer.storage.postgresql import transitions
from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.sql import queries
from balancer.storage.redis.whereabouts import Location
from balancer.storage.running_meetings import RunningMeetings


class MeetingEnds:
    """Every method raises StorageUnavailableError if PostgreSQL cannot be used."""

    def __init__(self, database: Database, running: RunningMeetings, announcer: Announcer) -> None:
        self._database = database
        self._running = running
        self._announcer = announcer

    def requested(self, location: Location) -> None:
        """The node accepted an end for the meeting."""
        with self._database.transaction() as connection:
            transitions.request_end(connection, location.row, "its node took an end from the front end")

    def confirmed(self, location: Location, cause: str) -> None:
        """The node no longer knows the meeting."""
        with self._database.transaction() as connection:
            row = connection.execute(queries("meetings")["names"], {"id": location.row}).fetchone()
            changes = transitions.finish(connection, [location.row], State.RUNNING, State.ENDED, cause)
        self._announcer.try_announce(changes)
        if row and not changes:
            # The copy stayed because it was made after the end, or because Redis was away then.
            self._running.forget_copy(row["tenant_id"], row["meeting_id"], location)
