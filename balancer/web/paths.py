"""Front ends are configured with all kinds of base URLs: every shape of a call's path becomes the routed one."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where every BBB call is routed.
API = "/bigbluebutton/api"
_SLASHES = re.compile("/{2,}")
# With or without "bigbluebutton" and "api", with a slash too many or none: /bigbluebutton/api/create, /api/create,
# /bigbluebutton/create, /bigbluebuttonapi/create, /bigbluebutton/apicreate, /bigbluebutton/api/api/create/.
_SHAPE = re.compile(r"/(?:bigbluebutton/?(?:api/?){0,2}|(?:api(?:/|$)){1,2})(?P<call>[A-Za-z]*(?:/[A-Za-z]+)?)/?")


def canonical(path: str) -> str:
    """The path that is routed; one that is no BBB call's stays as it is."""
    found = _SHAPE.fullmatch(_SLASHES.sub("/", path))
    if not found:
        return path
    return f"{API}/{found['call']}" if found["call"] else API


class CanonicalPaths:
    """WSGI middleware; nothing is redirected, since a redirect would lose a POST."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["PATH_INFO"] = canonical(environ.get("PATH_INFO", ""))
        return self._app(environ, start_response)
