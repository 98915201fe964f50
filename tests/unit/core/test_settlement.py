"""The table of what a node's answer to create means for the rows."""

import dataclasses

import pytest

from balancer.core.meetings import Identity, State
from balancer.core.settlement import Row, Step, settle

FOUND = Identity("sha-2000", 2000)
CREATING = Row(
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


def ended(row: Row) -> Row:
    return dataclasses.replace(row, state=State.ENDED)


def lost(row: Row) -> Row:
    return dataclasses.replace(row, state=State.LOST)


LEFT_OVER = dataclasses.replace(lost(OTHER), handed_out=False)


@pytest.mark.parametrize(
    ("row", "namesake", "enabled", "step"),
    [
        # The ordinary ways: made, made by a rival with the same row, still there.
        (CREATING, None, True, Step.BEGIN),
        (RUNNING, None, True, Step.KEEP),
        (RUNNING, None, False, Step.KEEP),
        # Its node was taken out of service meanwhile.
        (CREATING, None, False, Step.DISOWN),
        # A rival gave the row up, though the node had made the meeting.
        (ended(CREATING), None, True, Step.BEGIN),
        (lost(CREATING), None, True, Step.BEGIN),
        (lost(CREATING), None, False, Step.DISOWN),
        # The meeting had ended there, and a new one was born in its place.
        (OLDER, None, True, Step.SUCCEED),
        (OLDER, None, False, Step.DISOWN_SUCCESSOR),
        # An answer that was overtaken by another.
        (NEWER, None, True, Step.LOOK_AGAIN),
        (NEWER, LEFT_OVER, True, Step.LOOK_AGAIN),
        (NEWER, ended(OTHER), True, Step.LOOK_AGAIN),
        (ended(RUNNING), None, True, Step.LOOK_AGAIN),
        (lost(RUNNING), None, True, Step.LOOK_AGAIN),
        (ended(OLDER), None, True, Step.DISOWN_SUCCESSOR),
        # A rival's row has it already.
        (ended(OLDER), OTHER, True, Step.KEEP),
        (ended(CREATING), OTHER, True, Step.KEEP),
        # It was given up, and its node had it all the time.
        (CREATING, lost(OTHER), True, Step.TAKE_BACK),
        (CREATING, lost(OTHER), False, Step.TAKE_BACK),
        (CREATING, ended(OTHER), True, Step.TAKE_BACK),
        (lost(CREATING), lost(OTHER), True, Step.LOOK_AGAIN),
        # Left over from a create that timed out: the poller is closing it.
        (CREATING, LEFT_OVER, True, Step.REFUSE),
        # What it has itself is its own, whoever had one of that id on a node that was removed.
        (RUNNING, dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.KEEP),
        (lost(RUNNING), dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.LOOK_AGAIN),
        # Another tenant's, or another meetingID's.
        (CREATING, dataclasses.replace(OTHER, tenant_id=2), True, Step.REFUSE),
        (CREATING, dataclasses.replace(lost(OTHER), tenant_id=2), True, Step.REFUSE),
        (CREATING, dataclasses.replace(OTHER, meeting_id="course-2"), True, Step.REFUSE),
    ],
)
def test_settlement(row: Row, namesake: Row | None, enabled: bool, step: Step) -> None:
    assert settle(row, namesake, FOUND, enabled=enabled) is step


def test_only_what_a_row_says_runs_is_handed_out() -> None:
    assert {step for step in Step if step.hands_out} == {Step.KEEP, Step.BEGIN, Step.SUCCEED, Step.TAKE_BACK}
