"""A failure as a page for people. The page loads nothing else."""

from urllib.parse import quote, urlsplit

from flask import Response, render_template

from balancer.core.parameters import Parameters
from balancer.errors import BBBError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(title: str, error: BBBError, parameters: Parameters | None) -> Response:
    """parameters: None if the checksum was wrong. Otherwise the front end's logoutURL leads back."""
    back = web_address(parameters.text("logoutURL")) if parameters is not None else None
    text = render_template("failed.html", title=title, message=str(error), key=error.message_key, back=back)
    return Response(text, error.status, _HEADERS, mimetype="text/html")


def web_address(text: str) -> str | None:
    """The URL if a browser can be sent there safely, else None."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or not text.isprintable() or " " in text:
        return None
    return quote(text, safe="!#$%&'()*+,/:;=?@[]~")
