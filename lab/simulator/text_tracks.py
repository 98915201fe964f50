"""Text tracks of recordings on disk (reference 3.13)."""

import json
import re
import time
from typing import Any

from lab.simulator.meetings import token
from lab.simulator.recordings.tree import Tree

_VALID_SECONDS = 3600
_COMMA_TIME = re.compile(r"(\d\d:\d\d:\d\d),(\d{3})")


class TextTracks:
    """Lists, accepts and serves captions; each download address works once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._tokens: dict[str, float] = {}

    def of(self, record_id: str) -> list[dict[str, str]]:
        """Return the tracks of a recording, as in captions.json."""
        path = self._tree.captions(record_id) / "captions.json"
        tracks: list[dict[str, str]] = json.loads(path.read_text()) if path.is_file() else []
        return tracks

    def address(self, origin: str, record_id: str, track: dict[str, str]) -> str:
        """Return an address for one download within the hour."""
        fresh = token(32)
        self._tokens[fresh] = time.monotonic() + _VALID_SECONDS
        return f"{origin}/bigbluebutton/textTrack/{fresh}/{record_id}/{_name(track)}"

    def fetch(self, given: str, record_id: str, name: str) -> bytes | None:
        """Return the track of an address that is valid and unused; else None."""
        until = self._tokens.pop(given, 0.0)
        path = self._tree.captions(record_id) / name
        allowed = until > time.monotonic() and path.parent == self._tree.captions(record_id)
        return path.read_bytes() if allowed and path.is_file() else None

    def put(self, record_id: str, about: dict[str, str], content: bytes, moment: int) -> None:
        """Write an upload to the inbox, as BBB does, and process it from there as the caption service does."""
        inbox = self._tree.base / "captions/inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        stem = f"{record_id}-{moment}-track"
        (inbox / f"{stem}.txt").write_bytes(content)
        (inbox / f"{stem}.json").write_text(json.dumps(about | {"record_id": record_id}))
        self._take(record_id, about, content)
        for ending in ("txt", "json"):
            (inbox / f"{stem}.{ending}").unlink()

    def _take(self, record_id: str, about: dict[str, str], content: bytes) -> None:
        directory = self._tree.captions(record_id)
        directory.mkdir(parents=True, exist_ok=True)
        kept = [track for track in self.of(record_id) if _name(track) != _name(about)]
        (directory / _name(about)).write_text(_vtt(content.decode("utf-8", "replace")), encoding="utf-8")
        tracks: list[dict[str, Any]] = [*kept, about | {"source": "upload"}]
        (directory / "captions.json").write_text(json.dumps(tracks))


def _name(track: dict[str, str]) -> str:
    return f"{track['kind']}_{track['lang']}.vtt"


def _vtt(text: str) -> str:
    """Convert SubRip to WebVTT; WebVTT is returned unchanged."""
    return text if text.startswith("WEBVTT") else "WEBVTT\n\n" + _COMMA_TIME.sub(r"\1.\2", text)
