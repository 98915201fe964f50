"""The API's index, used to probe the version: no checksum, no redirect, with or without a trailing slash."""

from flask import Blueprint, Response, jsonify, request

from balancer import __version__
from balancer.web import xml
from balancer.web.canonical_paths import API

blueprint = Blueprint("index", __name__)

#: What bbb-web answers from 2.0 to 3.0. Strangers do not learn which BBB releases the nodes run.
API_VERSION = "2.0"


@blueprint.route(API, methods=["GET", "POST"], provide_automatic_options=False)
def index() -> Response:
    """Version of the API, and our own as ``build``."""
    fields = {
        "returncode": "SUCCESS",
        "version": API_VERSION,
        "apiVersion": API_VERSION,
        "bbbVersion": "",
        "build": __version__,
    }
    if request.mimetype == "application/json":
        return jsonify({"response": fields})
    return xml.answer("<response>" + "".join(xml.element(tag, value) for tag, value in fields.items()) + "</response>")
