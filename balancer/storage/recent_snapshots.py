"""Snapshots for placement, read from Redis once in a while for all threads of a process."""

import threading
import time
from collections.abc import Mapping

from balancer import log
from balancer.core.nodes import Snapshot
from balancer.errors import StorageUnavailableError
from balancer.storage.snapshots import Snapshots

#: Seconds for which what was read serves. Placements since a snapshot's poll are counted from rows, so its age does not
#: skew a score.
_LIFE = 1.0

logger = log.get(__name__)


class RecentSnapshots:
    """Threads share it."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._lock = threading.Lock()
        self._found: Mapping[int, Snapshot] = {}
        self._read = float("-inf")

    def all(self) -> Mapping[int, Snapshot]:
        """The last snapshot of each node; none where Redis is away: placement then goes by its own rows."""
        with self._lock:
            if time.monotonic() - self._read > _LIFE:
                try:
                    self._found = self._snapshots.all()
                except StorageUnavailableError as error:
                    logger.warning("placing without snapshots", reason=str(error))
                    self._found = {}
                self._read = time.monotonic()
            return self._found

    def forget(self) -> None:
        """Have the next reader look into Redis."""
        with self._lock:
            self._read = float("-inf")
