"""What becomes of a meeting's row once its node has answered create with a meeting: the table of all cases.

Between the call and its answer a rival, the poller, an end or an operator may have changed everything. A meeting is
handed out only if afterwards exactly one live row says that it is the one.
"""

from dataclasses import dataclass
from enum import Enum

from balancer.core.meetings import Identity, State


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of table meetings, locked."""

    id: int
    tenant_id: int
    meeting_id: str
    state: State
    internal_meeting_id: str | None
    create_time: int | None
    handed_out: bool  #: it ran once: clients may know it

    @property
    def live(self) -> bool:
        return self.state in (State.CREATING, State.RUNNING)


class Step(Enum):
    """What is done to the rows, and whether the meeting may be handed out then; in words for the log."""

    KEEP = "nothing was left to do: handed out"
    BEGIN = "its node created it, the row is running: handed out"
    SUCCEED = "its node created another one, a new row runs in place of the ended one: handed out"
    TAKE_BACK = "its node still had the one from before, whose row runs again: handed out"
    DISOWN = "its node takes no new meetings: lost, so that the poller closes it"
    DISOWN_SUCCESSOR = "its node takes no new meetings, or the row had ended: a new row is lost, as before"
    REFUSE = "its node answered with a meeting that is not its own: the row ended"
    LOOK_AGAIN = "the rows had moved on: nothing was done"

    @property
    def hands_out(self) -> bool:
        return self in (Step.KEEP, Step.BEGIN, Step.SUCCEED, Step.TAKE_BACK)


def settle(row: Row, namesake: Row | None, found: Identity, *, enabled: bool) -> Step:
    """The step that ``found`` on the row's node means.

    namesake: the other row that has this internalMeetingID on the same node, or on one that was removed where it is
    another tenant's or was never handed out. enabled: whether the node takes new meetings.
    """
    ours = row.internal_meeting_id == found.internal_meeting_id
    if row.handed_out and not ours and found.create_time <= (row.create_time or 0):
        # An answer that was long under way is older than what the row says by now.
        return Step.LOOK_AGAIN
    if ours:
        # Whatever a namesake says: no node gives two rows one meeting, so that one is from a node that was removed.
        return Step.KEEP if row.state is State.RUNNING else Step.LOOK_AGAIN
    if namesake is not None:
        return _known_elsewhere(row, namesake)
    if row.handed_out:
        # Where the poller noted the end while the node bore it anew, the next look decides where the meeting is.
        return Step.SUCCEED if enabled and row.state is State.RUNNING else Step.DISOWN_SUCCESSOR
    return Step.BEGIN if enabled else Step.DISOWN


def _known_elsewhere(row: Row, namesake: Row) -> Step:
    if (namesake.tenant_id, namesake.meeting_id) != (row.tenant_id, row.meeting_id) or not namesake.handed_out:
        # Another tenant's, or left over from a create that timed out and about to be closed.
        return Step.REFUSE
    if namesake.state is State.RUNNING:
        return Step.KEEP
    # It had been given up, and its node had it all the time.
    return Step.TAKE_BACK if row.live else Step.LOOK_AGAIN
