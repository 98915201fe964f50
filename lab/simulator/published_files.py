"""Published recordings as a node's nginx serves them (reference 5.4, 6)."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from lab.simulator.answers import HTML, Answer

#: Path prefix -> directory below var/bigbluebutton.
_PLACES = {
    "/presentation/": "published/presentation",
    "/playback/video/": "published/video",
    "/video/": "published/video",
    "/podcast/": "published/podcast",
    "/notes/": "published/notes",
    "/recording/screenshare/": "published/screenshare",
}
PLAYER = "/playback/presentation/2.3"
_OLD = re.compile(r"meetingId=([0-9a-f]+-[0-9]+)")
_CLIENT = Path(__file__).parent / "client"


def file_for(root: Path, path: str) -> Path | None:
    """Return the published file that a path names; a directory is its index.html, None is a 404."""
    for prefix, place in _PLACES.items():
        if path.startswith(prefix):
            base = (root / "var/bigbluebutton" / place).resolve()
            found = (base / unquote(path.removeprefix(prefix))).resolve()
            if found.is_dir():
                found = found / "index.html"
            return found if found.is_relative_to(base) and found.is_file() else None
    return None


def player_page(path: str, query: str = "") -> Answer | None:
    """Return the player for a presentation, or the redirect of an old link to it."""
    if path == f"{PLAYER}/player.js":
        return Answer(_asset("player.js"), "text/javascript")
    if path.startswith(f"{PLAYER}/"):
        return Answer(_asset("player.html"), HTML)
    old = _OLD.search(query) if path == "/playback/presentation/2.0/playback.html" else None
    return Answer(status=301, headers={"Location": f"{PLAYER}/{old[1]}"}) if old else None


@cache
def _asset(name: str) -> bytes:
    return (_CLIENT / name).read_bytes()
