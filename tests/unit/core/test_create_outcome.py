"""What a node's answer to create means for the rows: the table of all cases."""

import dataclasses

import pytest

from balancer.core.create_outcome import LockedRow, Step, settle
from balancer.core.meetings import Identity, State

FOUND = Identity("sha-2000", 2000)
CREATING = LockedRow(
    id=2,
    tenant_id=1,
    meeting_id="course-1",
    state=State.CREATING,
    internal_meeting_id=None,
    create_time=None,
    handed_out=False,
)
RUNNING = dataclasses.replace(
    CREATING, state=State.RUNNING, internal_meeting_id="sha-2000", create_time=2000, handed_out=True
)
OLDER = dataclasses.replace(RUNNING, internal_meeting_id="sha-1000", create_time=1000)
NEWER = dataclasses.replace(RUNNING, internal_meeting_id="sha-3000", create_time=3000)
#: Another row that has the meeting.
OTHER = dataclasses.replace(RUNNING, id=1)


def ended(row: LockedRow) -> LockedRow:
    return dataclasses.replace(row, state=State.ENDED)


def lost(row: LockedRow) -> LockedRow:
    return dataclasses.replace(row, state=State.LOST)


LEFT_OVER = dataclasses.replace(lost(OTHER), handed_out=False)


@pytest.mark.parametrize(
    ("row", "namesake", "enabled", "step"),
    [
        # The usual cases: created, created by a concurrent create with the same row, still there.
        (CREATING, None, True, Step.BEGIN),
        (RUNNING, None, True, Step.KEEP),
        (RUNNING, None, False, Step.KEEP),
        # Its node was taken out of service in the meantime.
        (CREATING, None, False, Step.DISOWN),
        # A concurrent create gave the row up although the node had created the meeting.
        (ended(CREATING), None, True, Step.BEGIN),
        (lost(CREATING), None, True, Step.BEGIN),
        (lost(CREATING), None, False, Step.DISOWN),
        # The meeting had ended there, and the node created a new one.
        (OLDER, None, True, Step.SUCCEED),
        (OLDER, None, False, Step.DISOWN_SUCCESSOR),
        # The answer is older than the row.
        (NEWER, None, True, Step.TRY_AGAIN),
        (NEWER, LEFT_OVER, True, Step.TRY_AGAIN),
        (NEWER, ended(OTHER), True, Step.TRY_AGAIN),
        (ended(RUNNING), None, True, Step.TRY_AGAIN),
        (lost(RUNNING), None, True, Step.TRY_AGAIN),
        (ended(OLDER), None, True, Step.DISOWN_SUCCESSOR),
        # Another create's row already has it.
        (ended(OLDER), OTHER, True, Step.KEEP),
        (ended(CREATING), OTHER, True, Step.KEEP),
        # It was given up, and its node had it all the time.
        (CREATING, lost(OTHER), True, Step.TAKE_BACK),
        (CREATING, lost(OTHER), False, Step.TAKE_BACK),
        (CREATING, ended(OTHER), True, Step.TAKE_BACK),
        (lost(CREATING), lost(OTHER), True, Step.TRY_AGAIN),
        # Left over from a create that timed out: the poller is about to end it.
        (CREATING, LEFT_OVER, True, Step.REFUSE),
        # The row's own meeting; the namesake's was on a node that was removed.
        (RUNNING, dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.KEEP),
        (lost(RUNNING), dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.TRY_AGAIN),
        # Another tenant's, or another meetingID's.
        (CREATING, dataclasses.replace(OTHER, tenant_id=2), True, Step.REFUSE),
        (CREATING, dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.REFUSE),
        (CREATING, dataclasses.replace(OTHER, meeting_id="course-2"), True, Step.REFUSE),
    ],
)
def test_settlement(row: LockedRow, namesake: LockedRow | None, enabled: bool, step: Step) -> None:
    assert settle(row, namesake, FOUND, enabled=enabled) is step


def test_only_a_meeting_with_a_running_row_is_handed_out() -> None:
    assert {step for step in Step if step.hands_out} == {Step.KEEP, Step.BEGIN, Step.SUCCEED, Step.TAKE_BACK}
