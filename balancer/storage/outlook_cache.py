"""What polls told of the nodes, for placement: looked at once in a while for all threads of a process."""

import threading
import time
from dataclasses import dataclass

from balancer import log
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.postgresql.database import POOL_TIMEOUT, Database
from balancer.storage.postgresql.placement import Outlook, outlook
from balancer.storage.redis.snapshots import Snapshots

#: Seconds for which what was looked at serves.
_LIFE = 2.0
#: Seconds after which nobody goes on with it while another looks: one who waits for a Redis that hangs is back by then.
_OLD = 5.0
#: Seconds. A pool that is full refuses many creates at once, and not every one of them should have all looked at anew.
_JUST_NOW = 0.2

logger = log.get(__name__)


@dataclass(frozen=True)
class _Look:
    outlook: Outlook
    at: float  #: of time.monotonic()

    def serves(self, after: Outlook | None, life: float) -> bool:
        """Whether it is another than ``after``, and younger than so many seconds."""
        return self.outlook is not after and time.monotonic() - self.at <= life


class OutlookCache:
    """Threads share it."""

    def __init__(self, settings: Settings, snapshots: Snapshots, database: Database) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._database = database
        self._lock = threading.Lock()
        self._known: _Look | None = None

    def outlook(self, after: Outlook | None = None) -> Outlook:
        """What was looked at a moment ago; where that is ``after``, which did not serve, somebody looks anew.

        Without snapshots where Redis is away: placement then goes by its own rows.
        Raises StorageUnavailableError where PostgreSQL cannot be used.
        """
        known = self._known
        if known and known.serves(after, _LIFE):
            return known.outlook
        # One looks, and the others go on with what there is: a store that is slow holds up one create.
        usable = known is not None and known.serves(after, _OLD)
        if not self._lock.acquire(timeout=0 if usable else POOL_TIMEOUT):
            if known and usable:
                return known.outlook
            raise StorageUnavailableError("PostgreSQL: another look at the nodes takes long")
        try:
            known = self._known
            if known is None or not known.serves(after, _LIFE):
                known = self._known = _Look(self._look(), time.monotonic())
            return known.outlook
        finally:
            self._lock.release()

    def is_of_just_now(self, outlook: Outlook) -> bool:
        """Whether a second look would tell nothing else."""
        known = self._known
        return known is not None and known.outlook is outlook and known.serves(None, _JUST_NOW)

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
