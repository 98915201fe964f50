"""getMeetings: answered from the nodes' last polls and the rows changed since. No node is asked, so none can delay it.

With ``live=true`` the nodes are asked, until a deadline. For a node that misses it, its last poll is used.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response

from balancer import log
from balancer.core.meeting_list import Part, TenantMeeting, external_ids, merge, unseen, young_meeting
from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql import clock
from balancer.web import xml
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.services import services

blueprint = Blueprint("meeting_list", __name__)
logger = log.get(__name__)

#: Age in seconds of the oldest poll that the answer is made from, by its start; absent if there is none.
AGE_HEADER = "X-Oldest-Poll-Seconds"


@bbb_call(blueprint, "getMeetings")
def get_meetings(call: Call) -> Response:
    """A tenant's meetings on all nodes. Those of unreachable nodes are listed as last seen, or by their rows."""
    parts = services().snapshots.xml(list(services().registry.nodes()))
    if call.parameters.flag("live"):
        parts |= _live()
    rows = _rows(call.tenant.id, parts)
    listings = services().placements.initial_listings(call.tenant.id, unseen(rows, parts))
    answer = _answer(merge(rows, parts, {internal: young_meeting(text) for internal, text in listings.items()}))
    if parts:
        oldest = min(part.poll_started for part in parts.values())
        answer.headers[AGE_HEADER] = f"{max(0.0, (datetime.now(UTC) - oldest).total_seconds()):.0f}"
    return answer


def _live() -> Mapping[int, Part]:
    registry = services().registry
    nodes = [node for node in registry.nodes().values() if not registry.unreachable(node.id)]
    try:
        return services().live.parts(nodes, _now)
    except StorageUnavailableError as error:
        logger.warning("not listed live", reason=str(error))
        return {}


def _now() -> datetime:
    with services().database.single() as connection:
        return clock.now(connection)


def _answer(meetings: list[str]) -> Response:
    if meetings:
        return xml.success("<meetings>", *meetings, "</meetings>")
    return xml.success(
        "<meetings/>",
        xml.element("messageKey", "noMeetings"),
        xml.element("message", "no meetings were found on this server"),
    )


def _rows(tenant_id: int, parts: Mapping[int, Part]) -> list[TenantMeeting]:
    """The tenant's meetings. If PostgreSQL is away: the polled meetings that are the tenant's by Redis."""
    try:
        return services().meetings.of_tenant(tenant_id)
    except StorageUnavailableError as error:
        rows = _polled(tenant_id, parts)
        if not rows:
            raise  # we do not know that there are none
        logger.warning("meetings listed without PostgreSQL", reason=str(error))
        return rows


def _polled(tenant_id: int, parts: Mapping[int, Part]) -> list[TenantMeeting]:
    ids = [
        (node_id, internal, meeting_id)
        for node_id, part in parts.items()
        for internal, meeting_id in external_ids(part).items()
    ]
    places = services().placements.find_all(tenant_id, [meeting_id for _, _, meeting_id in ids])
    return [
        TenantMeeting(
            node_id=node_id,
            meeting_id=meeting_id,
            internal_meeting_id=internal,
            created_at=parts[node_id].poll_started.timestamp(),
            create_time=0,  # this and the next are used only for meetings that no poll listed
            recorded=False,
        )
        for (node_id, internal, meeting_id), place in zip(ids, places, strict=True)
        if place is not None and (place.node_id, place.internal_meeting_id) == (node_id, internal)
    ]
