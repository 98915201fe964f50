"""BBB's XML for answers of our own. A node's answer is passed on unchanged."""

import re
from xml.sax.saxutils import escape

from flask import Response

from balancer.errors import BBBError

CONTENT_TYPE = "text/xml;charset=utf-8"
#: Characters that XML 1.0 cannot carry, not even escaped. An echoed parameter may contain them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: str) -> str:
    """Any text as the content of an element."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value))


def element(tag: str, value: str) -> str:
    """One element with text. tag: a literal of ours."""
    return f"<{tag}>{text(value)}</{tag}>"


def answer(body: str | bytes, status: int = 200) -> Response:
    """A whole document as BBB sends it."""
    return Response(body, status, {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-cache"})


def success(*elements: str) -> Response:
    """A SUCCESS with these elements after the returncode."""
    return answer(f"<response><returncode>SUCCESS</returncode>{''.join(elements)}</response>")


def failure(error: BBBError) -> Response:
    """A FAILED with its key and message (bbb-web's api-error.ftlx)."""
    parts = element("messageKey", error.message_key) + element("message", str(error))
    return answer(f"<response><returncode>FAILED</returncode>{parts}</response>", error.status)
