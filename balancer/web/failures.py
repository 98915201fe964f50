"""Turns every failure of a request into the error that its caller gets."""

from collections.abc import Mapping

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from balancer import log
from balancer.errors import BBBError, NodeError, StorageUnavailableError, UnsupportedRequestError
from balancer.web import xml
from balancer.web.canonical_paths import API

logger = log.get(__name__)


def as_bbb(error: BBBError | StorageUnavailableError | NodeError, about: Mapping[str, str | None]) -> BBBError:
    """The error for the front end. The log gets the details. about: the call, for the log."""
    if isinstance(error, BBBError):
        return error
    node = error.node if isinstance(error, NodeError) else None
    logger.warning("call failed", node=node, reason=str(error), **about)
    if isinstance(error, StorageUnavailableError):
        return BBBError("The balancer cannot reach its database at the moment. Please try again later.")
    return BBBError(f"Unable to access meeting on server ({error.reason}).")


def register(app: Flask) -> None:
    """Register the answers to errors that no view catches."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _http(error: HTTPException) -> Response | HTTPException:
    # No such route, or not with this method: no other error of Werkzeug's can occur for a BBB call.
    if request.routing_exception is not None and not request.path.startswith("/internal/"):
        refusal = UnsupportedRequestError()
        if request.path.startswith(API):
            logger.info("call refused", key=refusal.message_key, method=request.method, path=request.path)
        return xml.failure(refusal)
    return error


def _unexpected(error: Exception) -> Response:
    """A defect of ours: log the traceback and answer with an apology."""
    logger.exception("unexpected error", path=request.path, exc_info=error)
    answer = xml.failure(BBBError("The balancer had an internal error. Its log has the details."))
    answer.status_code = 200 if request.path.startswith(API) else 500
    return answer
