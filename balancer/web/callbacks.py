"""The callback by which a node reports that a meeting ended. It only causes a poll, so a lost one is harmless."""

from flask import Blueprint, Response, request

from balancer import log
from balancer.core import callbacks
from balancer.core.parameters import Parameters
from balancer.errors import StorageUnavailableError
from balancer.web.services import services

blueprint = Blueprint("callbacks", __name__)
logger = log.get(__name__)


@blueprint.get(callbacks.MEETING_ENDED)
def meeting_ended() -> Response:
    """Always 204, so that a stranger learns nothing and a node does not repeat its call."""
    try:
        # Not Werkzeug's args, which fail on a query string that is not UTF-8.
        _poll_node(Parameters.parse(request.query_string).text("token"))
    except StorageUnavailableError as error:
        logger.warning("callback without effect", reason=str(error))
    return Response(status=204, headers={"Cache-Control": "no-store"})


def _poll_node(token: str) -> None:
    """Request a poll of the meeting's node. Raises StorageUnavailableError."""
    found = callbacks.ended_meeting(services().tenants(), token)
    if found is None:
        logger.info("callback refused", address=request.headers.get("X-Forwarded-For"))
        return
    tenant, meeting_id = found
    place = services().meetings.find(tenant.id, meeting_id)
    logger.info("node reports the end of a meeting", meeting_id=meeting_id, node_id=place.node_id if place else None)
    if place is not None:
        services().polls.ask([place.node_id])
