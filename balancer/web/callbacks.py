"""What nodes call: a meeting has ended. Nothing but a poll comes of it, so a lost or repeated callback does no harm."""

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
    """Always 204: a stranger learns nothing, and a node that was heard does not repeat itself."""
    try:
        # Not Werkzeug's args: they break where the query string is not UTF-8.
        _look_at_once(Parameters.parse(request.query_string).text("token"))
    except StorageUnavailableError as error:
        logger.warning("callback without effect", reason=str(error))
    return Response(status=204, headers={"Cache-Control": "no-store"})


def _look_at_once(token: str) -> None:
    """Have the node of the meeting polled. Raises StorageUnavailableError."""
    found = callbacks.ended_meeting(services().tenants(), token)
    if found is None:
        logger.info("callback refused", address=request.headers.get("X-Forwarded-For"))
        return
    tenant, meeting_id = found
    place = services().meetings.find(tenant.id, meeting_id)
    logger.info("meeting ended, says its node", meeting_id=meeting_id, node_id=place.node_id if place else None)
    if place is not None:
        services().polls.ask([place.node_id])
