"""Finds the recording that a playback address belongs to.

Only addresses in their plainest spelling are accepted. An address that a web server might read differently (dots,
doubled slashes, escaped escapes) belongs to no recording. Source: the pipeline's *.nginx files.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from balancer.core.recordings import is_format, is_record_id

#: First segments that precede the format: /playback/video/ID/, /recording/screenshare/ID/.
_PREFIXES: Final = ("playback", "recording")
_PLAYER = "playback"
_PLAYER_VERSION: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}")


@dataclass(frozen=True)
class Media:
    """A file of this format of this recording, or the page that plays it."""

    format: str
    record_id: str


@dataclass(frozen=True)
class PlayerFile:
    """A file of the player itself, which is public."""


def resolve(uri: str) -> Media | PlayerFile | None:
    """What a raw request target ("/presentation/ID/metadata.xml?x") refers to; None if it must not be served."""
    parts = _segments(uri.partition("?")[0])
    if not parts:
        return None
    if parts[0] not in _PREFIXES:
        return _media(parts[0], parts[1:])
    # /playback/presentation/2.3/ID has the player's version in between.
    version = 1 if len(parts) > 2 and _PLAYER_VERSION.fullmatch(parts[2]) else 0
    media = _media(parts[1], parts[2 + version :]) if len(parts) > 1 else None
    if media is None and parts[0] == _PLAYER and not any(is_record_id(part) for part in parts):
        return PlayerFile()
    return media


def _media(playback_format: str, rest: list[str]) -> Media | None:
    if rest and is_format(playback_format) and is_record_id(rest[0]):
        return Media(playback_format, rest[0])
    return None


def _segments(path: str) -> list[str] | None:
    """The path's decoded segments; None if it is not in its plainest spelling."""
    try:
        decoded = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        return None
    # A server that decodes twice would decode a remaining percent sign.
    if not decoded.isprintable() or re.search(r"[\\%]", decoded):
        return None
    first, *segments = decoded.split("/")
    if segments and not segments[-1]:
        segments.pop()
    if first or not segments or any(part in ("", ".", "..") for part in segments):
        return None
    return segments
