"""A meeting without users as a node lists it."""

from balancer.core.node_call import SeenMeeting

EMPTY = SeenMeeting(
    meeting_id="",
    internal_meeting_id="",
    create_time=0,
    participants=0,
    voice=0,
    video=0,
    running=False,
    user_joined=False,
    forcibly_ended=False,
    breakout=False,
    parent_meeting_id="",
    xml="",
)
