"""Everything that a node serves outside of the API: client page, liveness, recordings (reference 6)."""

import re
from functools import cache
from pathlib import Path

from aiohttp import web

from lab.simulator.answers import HTML, Answer, page
from lab.simulator.client_pages import ClientPages
from lab.simulator.fault_effects import written
from lab.simulator.node import Node
from lab.simulator.published_files import file_for

_TRACK = "/bigbluebutton/textTrack/"
_PLAYER = "/playback/presentation/2.3"
_OLD_QUERY = re.compile(r"meetingId=([0-9a-f]+-[0-9]+)")
#: Content types that Python's table does not have on some systems.
_KINDS = {".m4v": "video/mp4", ".ogg": "audio/ogg", ".vtt": "text/vtt", ".webm": "video/webm"}
_CLIENT = Path(__file__).parent / "client"
_ASSETS = {"/html5client/client.js": "text/javascript", "/html5client/client.css": "text/css"}


class Site:
    """The node's paths outside of the API."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.pages = ClientPages(node)

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer a request outside of the API."""
        if path == "/graphql":
            return await self.pages.connect(request)
        if request.method not in ("GET", "HEAD"):
            return written(page("405 Not Allowed", "nginx", 405))
        if (answer := self._own(path, request.raw_path.partition("?")[2])) is not None:
            return written(answer)
        recorded = file_for(self._node.settings.root, path)
        if recorded is not None:
            kind = _KINDS.get(recorded.suffix)
            return web.FileResponse(recorded, headers={"Content-Type": kind} if kind else None)
        return written(page("404 Not Found", "nginx", 404))

    def _own(self, path: str, query: str) -> Answer | None:
        profile = self._node.settings.profile
        if path in {profile.client_path, profile.guest_path} - {""}:
            return Answer(_asset("client.html"), HTML)
        if path in _ASSETS:
            return Answer(_asset(path.rpartition("/")[2]), _ASSETS[path])
        if path == ("/bigbluebutton/rtt-check" if profile.has_graphql else "/bigbluebutton/ping"):
            return Answer(content_type="text/plain")
        if path == "/":
            return Answer(_asset("welcome.html"), HTML)
        if path.startswith(_TRACK):
            return self._text_track(path)
        return _player_page(path, query)

    def _text_track(self, path: str) -> Answer | None:
        given, _, rest = path.removeprefix(_TRACK).partition("/")
        record_id, _, name = rest.partition("/")
        content = self._node.text_tracks.fetch(given, record_id, name)
        return None if content is None else Answer(content, "text/vtt")

    async def close(self) -> None:
        """Close the open client pages."""
        await self.pages.close()


def _player_page(path: str, query: str) -> Answer | None:
    """Return the player for a presentation, or the redirect of an old link to it."""
    if path == f"{_PLAYER}/player.js":
        return Answer(_asset("player.js"), "text/javascript")
    if path.startswith(f"{_PLAYER}/"):
        return Answer(_asset("player.html"), HTML)
    old = _OLD_QUERY.search(query) if path == "/playback/presentation/2.0/playback.html" else None
    return Answer(status=301, headers={"Location": f"{_PLAYER}/{old[1]}"}) if old else None


@cache
def _asset(name: str) -> bytes:
    return (_CLIENT / name).read_bytes()
