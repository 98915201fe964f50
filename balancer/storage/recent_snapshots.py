"""What polls told of the nodes, for placement: looked at once in a while for all threads of a process."""

import threading
import time

from balancer import log
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.database import Database
from balancer.storage.placing import Outlook, outlook
from balancer.storage.snapshots import Snapshots

#: Seconds for which what was looked at serves.
_LIFE = 1.0
#: Seconds after which nobody goes on with it while another looks: one who waits for a Redis that hangs is back by then.
_OLD = 5.0
#: Seconds in which a second look would tell nothing else: a pool that is full refuses many creates at once.
_JUST_NOW = 0.2

logger = log.get(__name__)


class RecentSnapshots:
    """Threads share it."""

    def __init__(self, settings: Settings, snapshots: Snapshots, database: Database) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._database = database
        self._lock = threading.Lock()
        self._known: tuple[Outlook, float] | None = None  #: and when it was, of time.monotonic()

    def outlook(self, after: Outlook | None = None) -> Outlook:
        """What was looked at a moment ago; where that is ``after``, which did not serve, somebody looks anew.

        ``after`` itself where that was just now. Without snapshots where Redis is away: placement then goes by its own
        rows. Raises StorageUnavailableError where PostgreSQL cannot be used.
        """
        known = self._known
        if known is not None and not self._wants_look(known, after):
            return known[0]
        # One looks, and the others go on with what there is: a store that is slow holds up one create.
        usable = known is not None and known[0] is not after and _age(known) <= _OLD
        if not self._lock.acquire(blocking=not usable) and known is not None:
            return known[0]
        try:
            if self._known is None or self._wants_look(self._known, after):
                self._known = self._look(), time.monotonic()
            return self._known[0]
        finally:
            self._lock.release()

    def _wants_look(self, known: tuple[Outlook, float], after: Outlook | None) -> bool:
        return _age(known) > (_JUST_NOW if known[0] is after else _LIFE)

    def _look(self) -> Outlook:
        try:
            found = self._snapshots.all()
        except StorageUnavailableError as error:
            logger.warning("placing without snapshots", reason=str(error))
            found = {}
        with self._database.single() as connection:
            return outlook(connection, found, self._settings)

    def forget(self) -> None:
        """Have the next one look."""
        with self._lock:
            self._known = None


def _age(known: tuple[Outlook, float]) -> float:
    return time.monotonic() - known[1]
