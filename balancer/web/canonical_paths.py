"""Maps every shape of a call's path to the routed one, because front ends have all kinds of configured base URLs."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where every BBB call is routed.
API = "/bigbluebutton/api"
_SLASHES = re.compile("/{2,}")
# With or without "bigbluebutton" and "api", with one slash too many or too few: /bigbluebutton/api/create, /api/create,
# /bigbluebutton/create, /bigbluebuttonapi/create, /bigbluebutton/apicreate, /bigbluebutton/api/api/create/.
_SHAPE = re.compile(r"/(?:bigbluebutton/?(?:api/?){0,2}|(?:api(?:/|$)){1,2})(?P<call>[A-Za-z]*(?:/[A-Za-z]+)?)/?")


def canonical(path: str) -> str:
    """The routed path. A path of no BBB call is returned unchanged."""
    found = _SHAPE.fullmatch(_SLASHES.sub("/", path))
    if not found:
        return path
    return f"{API}/{found['call']}" if found["call"] else API


class CanonicalPaths:
    """WSGI middleware. It does not redirect, because a redirect would lose a POST's body."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["PATH_INFO"] = canonical(environ.get("PATH_INFO", ""))
        return self._app(environ, start_response)
