"""Published recordings as a node's nginx serves them (reference 5.4, 6)."""

from pathlib import Path
from urllib.parse import unquote

#: Directories below var/bigbluebutton, by path prefix.
_PLACES = {
    "/presentation/": "published/presentation",
    "/playback/video/": "published/video",
    "/video/": "published/video",
    "/podcast/": "published/podcast",
    "/notes/": "published/notes",
    "/recording/screenshare/": "published/screenshare",
}


def file_for(root: Path, path: str) -> Path | None:
    """Return the published file for a path, for a directory its index.html; None if there is none."""
    for prefix, place in _PLACES.items():
        if path.startswith(prefix):
            base = (root / "var/bigbluebutton" / place).resolve()
            found = (base / unquote(path.removeprefix(prefix))).resolve()
            if found.is_dir():
                found = found / "index.html"
            return found if found.is_relative_to(base) and found.is_file() else None
    return None
