"""Announces what a transaction changed, once it is committed: in the log, in Redis and to the poller."""

from collections.abc import Collection

from balancer import log
from balancer.core.meetings import State
from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql.transitions import Change
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.whereabouts import Location, Whereabouts

logger = log.get(__name__)


class Announcer:
    """The same for requests, polls and commands."""

    def __init__(self, whereabouts: Whereabouts, polls: PollRequests) -> None:
        self._whereabouts = whereabouts
        self._polls = polls

    def announce(self, changes: Collection[Change]) -> None:
        """Log the changes, update the locations that joins read, and have nodes with lost meetings polled soon.

        Raises StorageUnavailableError if Redis cannot be used; the log is complete even then.
        """
        for change in changes:
            logger.info(
                "meeting changed",
                tenant_id=change.tenant_id,
                meeting_id=change.meeting_id,
                row=change.row,
                node=change.node_name,
                from_state=change.from_state,
                to_state=change.to_state,
                cause=change.cause,
            )
        for change in changes:
            self._update_location(change)
        # A create may have left a meeting there that no client knows of: the poller ends it.
        newly_lost = [change for change in changes if change.to_state == State.LOST != change.from_state]
        if nodes := {change.node_id for change in newly_lost if change.node_id is not None}:
            self._polls.ask(nodes)

    def try_announce(self, changes: Collection[Change]) -> None:
        """As ``announce``, for requests, which work without Redis."""
        try:
            self.announce(changes)
        except StorageUnavailableError as error:
            logger.warning("change not announced in Redis", reason=str(error))

    def _update_location(self, change: Change) -> None:
        if change.to_state == State.RUNNING and change.node_id and change.internal_meeting_id:
            location = Location(change.row, change.node_id, change.internal_meeting_id)
            self._whereabouts.note(change.tenant_id, change.meeting_id, location)
        else:
            self._whereabouts.forget(change.tenant_id, change.meeting_id, change.row)
