"""From a request to BBB's answer: routing, signature, content type, call (reference 1)."""

import logging

from lab.simulator.answers import Answer, CallError, failed, page
from lab.simulator.calls.table import Rule, rule_for
from lab.simulator.frozen_statistics import frozen_answer
from lab.simulator.node import Node
from lab.simulator.request import Call

API = "/bigbluebutton/api"
log = logging.getLogger(__name__)


def call_name(path: str) -> str | None:
    """Return the name of the call that a path requests, empty for the index; None for a path outside of the API."""
    if path in ("/bigbluebutton", "/bigbluebutton/", API, API + "/"):
        return ""
    return path.removeprefix(API + "/") if path.startswith(API + "/") else None


def answer(node: Node, call: Call) -> Answer:
    """Answer one API call in the same shape as a node."""
    rule = rule_for(call.name, node.settings.profile)
    if rule is None:
        return page("404 Not Found", "bbb-web", 404)
    if call.method not in rule.methods:
        return page("405 Method Not Allowed", "bbb-web", 405)
    try:
        return _checked(node, call, rule)
    except CallError as failure:
        return failed(failure, as_json="application/json" in call.accept)
    except Exception:
        # A node also answers internal errors with an HTML page and status 500.
        log.exception("%s crashed", call.name)
        return page("500 Internal Server Error", "bbb-web", 500)


def _checked(node: Node, call: Call, rule: Rule) -> Answer:
    if rule.of_api and not node.settings.service_enabled:
        raise CallError("apiNotEnabled", "API Not Enabled.")
    if rule.signed_first:
        node.check_signature(call)
    enforced = node.settings.profile.checks_content_type and call.method == "POST"
    if enforced and call.body and call.content_type not in rule.body_types:
        raise CallError("unsupportedContentType", "POST request Content-Type is missing or unsupported")
    return frozen_answer(node, call) or rule.answer(node, call)
