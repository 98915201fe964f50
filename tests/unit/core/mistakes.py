"""Mistakes in the rules, which tests must find."""

from typing import Any

from balancer.core.create_outcome import LockedRow, Step, settle
from balancer.core.meetings import NodeCalls
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters


def settle_whatever_the_operator_wants(
    row: LockedRow, namesake: LockedRow | None, found: Any, *, enabled: bool
) -> Step:
    return settle(row, namesake, found, enabled=True)


def end_whatever_has_the_name(nodes: NodeCalls, node: Node, meeting_id: str, internal_meeting_id: str) -> bool:
    named = Parameters.of([("meetingID", meeting_id)])
    info = nodes.call(node, "getMeetingInfo", named)
    return info.text("internalMeetingID") == internal_meeting_id and nodes.call(node, "end", named).success
