"""Authorises playback. nginx-recordings asks here before every request is served (auth_request)."""

from flask import Blueprint, Response, request

from balancer import log
from balancer.core.playback import Media, PlayerFile, resolve
from balancer.core.recordings import PUBLISHED
from balancer.errors import StorageUnavailableError
from balancer.storage.postgresql import recordings
from balancer.web.services import services

blueprint = Blueprint("playback", __name__)
logger = log.get(__name__)


@blueprint.get("/internal/playback")
def authorise() -> Response:
    """204: serve it. 403: protected. 404: absent, or not published. 503: unknown at the moment.

    X-Original-URI: the requested address. The rows decide each time; nothing is cached here.
    """
    target = resolve(request.headers.get("X-Original-URI", ""))
    if isinstance(target, PlayerFile):
        return _answer(204)
    return _answer(404 if target is None else _status(target))


def _status(media: Media) -> int:
    try:
        with services().database.single() as connection:
            found = recordings.playback(connection, media.record_id, media.format)
    except StorageUnavailableError as error:
        logger.warning("playback not authorised", recording=media.record_id, reason=str(error))
        return 503
    if found is None:
        return 404
    state, protected = found
    if state != PUBLISHED:
        return 404
    return 403 if protected else 204


def _answer(status: int) -> Response:
    return Response(status=status, headers={"Cache-Control": "no-store"})
