"""hooks/create, hooks/list, hooks/destroy, hooks/ping (reference 3.14)."""

from lab.simulator.answers import Answer, CallError, element, message, response
from lab.simulator.hooks import Hook
from lab.simulator.node import Node
from lab.simulator.request import Call, is_integer


def hooks_create(node: Node, call: Call) -> Answer:
    """Register a callback."""
    _sign(node, call)
    sent = call.parameters
    url = sent.text("callbackURL")
    if not url:
        raise CallError("missingParamCallbackURL", "You must specify a callbackURL in the parameters.")
    _require_redis(node, "createHookError", "An error happened while creating your hook. Check the logs.")
    events = tuple(filter(None, sent.text("eventID").lower().split(",")))
    hook, known = node.hooks.add(url, sent.text("meetingID"), events, raw=sent.flag("getRaw"))
    if known:
        warning = message("duplicateWarning", "There is already a hook for this callback URL.")
        return response(element("hookID", hook.number), warning)
    return response(element("hookID", hook.number), element("permanentHook", False), element("rawData", hook.raw))


def hooks_destroy(node: Node, call: Call) -> Answer:
    """Drop a registration."""
    _sign(node, call)
    number = call.parameters.text("hookID")
    if not number:
        raise CallError("missingParamHookID", "You must specify a hookID in the parameters.")
    _require_redis(node, "destroyHookError", "An error happened while removing your hook. Check the logs.")
    if not is_integer(number) or not node.hooks.remove(int(number)):
        raise CallError("destroyMissingHook", "The hook informed was not found.")
    return response(element("removed", True))


def hooks_list(node: Node, call: Call) -> Answer:
    """List registrations."""
    _sign(node, call)
    _require_redis(node, "listHookError", "An error happened while listing registered hooks. Check the logs.")
    listed = "".join(map(_listed, node.hooks.list(call.parameters.get("meetingID"))))
    return response(f"<hooks>{listed}</hooks>")


def hooks_ping(node: Node, call: Call) -> Answer:
    """Report that the service is up; needs no signature."""
    return Answer("bbb-webhooks API up!", "text/plain")


def _listed(hook: Hook) -> str:
    parts = (
        element("hookID", hook.number),
        f"<callbackURL>{_cdata(hook.url)}</callbackURL>",
        f"<meetingID>{_cdata(hook.meeting_id)}</meetingID>" if hook.meeting_id else "",
        element("eventID", ",".join(hook.events)) if hook.events else "",
        element("permanentHook", False),
        element("rawData", hook.raw),
    )
    return "<hook>" + "".join(parts) + "</hook>"


def _cdata(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def _require_redis(node: Node, key: str, text: str) -> None:
    if node.settings.hooks_broken:
        raise CallError(key, text)


def _sign(node: Node, call: Call) -> None:
    checksum = call.parameters.raw("checksum")
    if node.settings.secret and not (checksum and node.signature_is_right(call, checksum, webhooks=True)):
        raise CallError("checksumError", "You did not pass the checksum security check.")
