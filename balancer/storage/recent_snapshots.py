"""What polls told, for placement: read once in a while for all threads of a process."""

import threading
import time

from balancer import log
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.database import Database
from balancer.storage.placing import Outlook, outlook
from balancer.storage.snapshots import Snapshots

#: Seconds for which what was read serves.
_LIFE = 1.0

logger = log.get(__name__)


class RecentSnapshots:
    """Threads share it."""

    def __init__(self, settings: Settings, snapshots: Snapshots, database: Database) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._database = database
        self._lock = threading.Lock()
        self._known: Outlook | None = None
        self._read = float("-inf")

    def outlook(self, after: Outlook | None = None) -> Outlook:
        """What was looked at a moment ago; where that is ``after``, which did not serve, somebody looks anew.

        Without snapshots where Redis is away: placement then goes by its own rows.
        Raises StorageUnavailableError where PostgreSQL cannot be used.
        """
        known = self._known
        if known is not None and known is not after:
            # One looks, and the others go on with what there is: a store that is slow holds up one create.
            if time.monotonic() - self._read <= _LIFE or not self._lock.acquire(blocking=False):
                return known
        else:
            self._lock.acquire()
        try:
            if self._known is None or self._known is after or time.monotonic() - self._read > _LIFE:
                self._known = self._look()
                self._read = time.monotonic()
            return self._known
        finally:
            self._lock.release()

    def _look(self) -> Outlook:
        try:
            found = self._snapshots.all()
        except StorageUnavailableError as error:
            logger.warning("placing without snapshots", reason=str(error))
            found = {}
        with self._database.single() as connection:
            return outlook(connection, found, self._settings)

    def forget(self) -> None:
        """Have the next reader look into Redis."""
        with self._lock:
            self._known = None
