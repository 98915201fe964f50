"""Answers in BBB's shapes (reference 1.2): HTTP 200 for success and failure alike."""

import json
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

XML = "text/xml"
HTML = "text/html"
JSON = "application/json"


@dataclass(slots=True)
class Answer:
    """The answer to a client, before any misbehaviour."""

    body: str | bytes = ""
    content_type: str = XML
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class CallError(Exception):
    """A refusal with BBB's messageKey and message."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key = key
        self.message = message


class ErrorListError(CallError):
    """A refusal as a list of errors, BBB's second envelope, which has no messageKey."""


def element(name: str, value: object) -> str:
    """Write one element; booleans in Java's spelling."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(text)}</{name}>"


def optional(name: str, value: str) -> str:
    """Write an element, or nothing if the value is empty."""
    return element(name, value) if value else ""


def response(*parts: str, returncode: str = "SUCCESS") -> Answer:
    """Wrap finished elements in BBB's envelope."""
    lines = "\n  ".join(part for part in (element("returncode", returncode), *parts) if part)
    return Answer(f"<response>\n  {lines}\n</response>")


def message(key: str, text: str) -> str:
    """Write the messageKey and message pair, empty ones included."""
    return element("messageKey", key) + "\n  " + element("message", text)


def failed(failure: CallError, *, as_json: bool = False) -> Answer:
    """Write a refusal in the envelope it belongs to."""
    if as_json:
        return json_response(returncode="FAILED", messageKey=failure.key, message=failure.message)
    if isinstance(failure, ErrorListError):
        error = element("key", failure.key) + element("message", failure.message)
        return response(f"<errors><error>{error}</error></errors>", returncode="FAILED")
    return response(message(failure.key, failure.message), returncode="FAILED")


def json_response(**values: object) -> Answer:
    """Write the JSON variant, everything below one `response`."""
    return Answer(json.dumps({"response": values}), JSON)


def page(title: str, text: str, status: int) -> Answer:
    """Write a web server's own error page, which is HTML and not BBB's XML."""
    body = (
        f"<html>\r\n<head><title>{escape(title)}</title></head>\r\n<body>\r\n"
        f"<center><h1>{escape(title)}</h1></center>\r\n<hr><center>{escape(text)}</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Answer(body, HTML, status)
