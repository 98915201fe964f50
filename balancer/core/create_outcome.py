"""What happens to a meeting's row after its node has answered create with a meeting: the table of all cases.

Between the call and its answer a concurrent create, the poller, an end or an operator may have changed everything. A
meeting is handed out only if exactly one live row says afterwards that it is the one.
"""

from dataclasses import dataclass
from enum import Enum

from balancer.core.meetings import Identity, State


@dataclass(frozen=True, kw_only=True)
class LockedRow:
    """A row of table meetings that the transaction has locked."""

    id: int
    tenant_id: int
    meeting_id: str
    state: State
    internal_meeting_id: str | None
    create_time: int | None
    handed_out: bool  #: it has been running: clients may know it

    @property
    def live(self) -> bool:
        return self.state in (State.CREATING, State.RUNNING)


class Step(Enum):
    """What is done to the rows, and whether the meeting may be handed out; the values are for the log."""

    KEEP = "nothing was left to do: handed out"
    BEGIN = "its node created it, the row is running: handed out"
    SUCCEED = "its node created another one, a new row runs in place of the ended one: handed out"
    TAKE_BACK = "its node still had the one from before, whose row runs again: handed out"
    DISOWN = "its node takes no new meetings: lost, so that the poller closes it"
    DISOWN_SUCCESSOR = "its node takes no new meetings, or the row had ended: a new row is lost, as before"
    REFUSE = "its node answered with a meeting that is not its own: the row ended"
    TRY_AGAIN = "the rows had changed: nothing was done"

    @property
    def hands_out(self) -> bool:
        return self in (Step.KEEP, Step.BEGIN, Step.SUCCEED, Step.TAKE_BACK)


def settle(row: LockedRow, namesake: LockedRow | None, reported: Identity, *, enabled: bool) -> Step:
    """The step to take after the row's node ``reported`` a meeting.

    namesake: the other row with this internalMeetingID on the same node, or on a removed node if it is another tenant's
    or was never handed out. enabled: whether the node accepts new meetings.
    """
    same = row.internal_meeting_id == reported.internal_meeting_id
    if row.handed_out and not same and reported.create_time <= (row.create_time or 0):
        # The answer was delayed and is older than what the row says by now.
        return Step.TRY_AGAIN
    if same:
        # A namesake does not matter: no node gives two rows one meeting, so that one is from a node that was removed.
        return Step.KEEP if row.state is State.RUNNING else Step.TRY_AGAIN
    if namesake is not None:
        return _owned_by_namesake(row, namesake)
    if row.handed_out:
        # If the poller recorded the end while the node re-created the meeting, the next attempt finds out where it is.
        return Step.SUCCEED if enabled and row.state is State.RUNNING else Step.DISOWN_SUCCESSOR
    return Step.BEGIN if enabled else Step.DISOWN


def _owned_by_namesake(row: LockedRow, namesake: LockedRow) -> Step:
    if (namesake.tenant_id, namesake.meeting_id) != (row.tenant_id, row.meeting_id) or not namesake.handed_out:
        # Another tenant's, or left over from a create that timed out and about to be ended.
        return Step.REFUSE
    if namesake.state is State.RUNNING:
        return Step.KEEP
    # It had been given up, and its node had it all the time.
    return Step.TAKE_BACK if row.live else Step.TRY_AGAIN
