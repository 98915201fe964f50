"""Where a running meeting is, and its node, for every call that needs both."""

from typing import NamedTuple

from balancer.core.nodes import Node
from balancer.errors import ServerUnavailableError
from balancer.storage.redis.whereabouts import Location
from balancer.web.services import services


class Found(NamedTuple):
    """A running meeting's place, and the node there."""

    place: Location
    node: Node


def find(tenant_id: int, meeting_id: str) -> Found | None:
    """None where no such meeting runs. Raises StorageUnavailableError where that cannot be told."""
    meetings, registry = services().meetings, services().registry
    for _ in range(2):
        place = meetings.find(tenant_id, meeting_id)
        if place is None:
            return None
        node = registry.node(place.node_id)
        if node is not None:
            return Found(place, node)
        # A copy outlives its node where Redis was away at the removal, or where it was made after it: now rows tell.
        meetings.forget_copy(tenant_id, meeting_id, place)
    raise ServerUnavailableError  # removed a moment ago
