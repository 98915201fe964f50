"""join: redirects a user to the node that has the meeting, from local data alone, without asking a node or PostgreSQL.

The browser must call the node itself to get the node's session cookie (bbb-web's ApiController#join).
"""

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.datastructures import Headers

from balancer.core import node_parameters
from balancer.core.meetings import meeting_id
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.errors import BBBError, MeetingEndedError, ServerUnavailableError, ValidationError
from balancer.web import meeting_lookup, xml
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.failure_page import page, web_address
from balancer.web.services import services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("join", __name__)


def failed(error: BBBError, parameters: Parameters | None) -> Response:
    """A failed join, in the form that its caller can use. parameters: None if the checksum was wrong."""
    # A caller that sends redirect=false is a program. Unlike a redirect's target, this is safe to believe unsigned.
    asked = Parameters.parse(request.query_string) if parameters is None else parameters
    if asked.text("redirect").lower() == "false":
        return xml.failure(error)
    if parameters is not None and (target := web_address(parameters.text("errorRedirectUrl"))) is not None:
        return Redirect(_with_errors(target, error))
    if "text/html" in request.headers.get("Accept", ""):
        return page("You could not join the meeting", error, parameters)
    return xml.failure(error)


@bbb_call(blueprint, "join", methods=("GET",), failure=failed)
def join(call: Call) -> Response:
    """302 to the node's own join, signed for the node. All other parameters stay as the front end sent them."""
    named = meeting_id(call.parameters)
    parameters = node_parameters.for_join(call.parameters)
    found = meeting_lookup.find(call.tenant.id, named)
    if found is None:
        raise MeetingEndedError
    node: Node | None = found.node
    if found.node.admin_state is AdminState.DISABLED:
        # It may have been enabled a moment ago and taken this meeting since.
        node = services().registry.node_now(found.node.id)
    if node is None or node.admin_state is AdminState.DISABLED or services().registry.unreachable(node.id):
        raise ServerUnavailableError
    url = services().nodes.join_url(node, parameters)
    limit = services().settings.node_url_limit_bytes
    if len(url) > limit:
        raise ValidationError(f"The join link is too long for the server: {len(url)} of at most {limit} bytes")
    return Redirect(url)


class Redirect(Response):
    """302 with an unchanged Location. Werkzeug would encode brackets in it, which breaks the signature."""

    def __init__(self, url: str) -> None:
        super().__init__("", 302, {"Cache-Control": "no-store"})
        self._url = url

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Location"] = self._url
        return headers


def _with_errors(url: str, error: BBBError) -> str:
    """The URL with BBB's ``errors``, a list of key and message in JSON."""
    address, hash_mark, fragment = url.partition("#")
    errors = quote(json.dumps([{"key": error.message_key, "message": str(error)}]), safe="")
    return f"{address}{'&' if '?' in address else '?'}errors={errors}{hash_mark}{fragment}"
