"""The node that a running meeting is on, for every call that needs it."""

from typing import NamedTuple

from balancer.core.nodes import Node
from balancer.errors import ServerUnavailableError
from balancer.storage.redis.whereabouts import Location
from balancer.web.services import services


class Located(NamedTuple):
    """A running meeting's whereabouts and its node."""

    place: Location
    node: Node


def find(tenant_id: int, meeting_id: str) -> Located | None:
    """None if no such meeting runs. Raises StorageUnavailableError if that cannot be determined."""
    meetings, registry = services().meetings, services().registry
    for _ in range(2):
        place = meetings.find(tenant_id, meeting_id)
        if place is None:
            return None
        node = registry.node(place.node_id)
        if node is not None:
            return Located(place, node)
        # A copy outlives its node if Redis was away at the removal or if it was made after it. Now the rows decide.
        meetings.forget_copy(tenant_id, meeting_id, place)
    raise ServerUnavailableError  # removed a moment ago
