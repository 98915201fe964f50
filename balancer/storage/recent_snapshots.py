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

    def outlook(self) -> Outlook:
        """Without snapshots where Redis is away: placement then goes by its own rows.

        Raises StorageUnavailableError where PostgreSQL cannot be used.
        """
        with self._lock:
            if self._known is None or time.monotonic() - self._read > _LIFE:
                try:
                    found = self._snapshots.all()
                except StorageUnavailableError as error:
                    logger.warning("placing without snapshots", reason=str(error))
                    found = {}
                with self._database.single() as connection:
                    self._known = outlook(connection, found, self._settings)
                self._read = time.monotonic()
            return self._known

    def forget(self) -> None:
        """Have the next reader look into Redis."""
        with self._lock:
            self._known = None
