"""getMeetings: from the nodes' last polls and what happened since. No node is asked, so none can hold it up.

With ``live=true`` the nodes are asked after all, until a deadline; for those that miss it the last poll stands.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response

from balancer import log
from balancer.core.listing import Part, TenantMeeting, external_ids, merge, unseen, young_meeting
from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql import clock
from balancer.web import xml
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.services import services

blueprint = Blueprint("meeting_list", __name__)
logger = log.get(__name__)

#: Seconds since the oldest of the polls that the answer is made of began; left out where it is made of none.
AGE_HEADER = "X-Oldest-Poll-Seconds"


@bbb_call(blueprint, "getMeetings")
def get_meetings(call: Call) -> Response:
    """A tenant's meetings on all nodes, those of unreachable nodes as they were last seen or as their rows are."""
    parts = services().snapshots.xml(list(services().registry.nodes()))
    if call.parameters.flag("live"):
        parts |= _live()
    rows = _rows(call.tenant.id, parts)
    listings = services().placements.initial_listings(call.tenant.id, unseen(rows, parts))
    answer = _answer(merge(rows, parts, {internal: young_meeting(told) for internal, told in listings.items()}))
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
    """The tenant's meetings; with PostgreSQL away those that were polled, and that Redis knows to be the tenant's."""
    try:
        return services().meetings.of_tenant(tenant_id)
    except StorageUnavailableError as error:
        rows = _polled(tenant_id, parts)
        if not rows:
            raise  # that there are none is not known
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
            create_time=0,  # this and the next are for what no poll listed
            recorded=False,
        )
        for (node_id, internal, meeting_id), place in zip(ids, places, strict=True)
        if place is not None and (place.node_id, place.internal_meeting_id) == (node_id, internal)
    ]
