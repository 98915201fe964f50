"""The version probe at /bigbluebutton/api (reference 3.1)."""

from lab.simulator.answers import Answer, element, json_response, response
from lab.simulator.node import Node
from lab.simulator.request import Call

_VERSION = "2.0"


def index(node: Node, call: Call) -> Answer:
    """Return the versions and, from 3.0 on, this node's graphql addresses."""
    values = {
        "version": _VERSION,
        "apiVersion": _VERSION,
        "bbbVersion": node.settings.profile.release if node.settings.reveal_version else "",
    }
    if node.settings.profile.has_graphql:
        origin = node.settings.server_url
        values["graphqlWebsocketUrl"] = f"{origin.replace('http', 'ws', 1)}/graphql"
        values["graphqlApiUrl"] = f"{origin}/api/rest"
    if call.content_type == "application/json":
        return json_response(returncode="SUCCESS", **values)
    return response(*(element(name, value) for name, value in values.items()))
