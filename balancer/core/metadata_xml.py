"""Reads metadata.xml, which the recording pipeline writes into each format's directory.

The reader is strict about what could do harm (identity, entities, size) and tolerant of missing or broken parts: the
video and screenshare formats have neither meeting nor participants. Source: record-and-playback's publish scripts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from balancer.core.recordings import PUBLISHED, UNPUBLISHED, Preview, canonical_name, clean
from balancer.errors import BalancerError

MAX_BYTES: Final = 4 * 1024 * 1024

_MAX_PREVIEWS = 100
_BIGINT = 2**63
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
#: Playback paths of formats, if the archive does not give one (the publish scripts' link).
_LINKS: Final = {
    "presentation": "/playback/presentation/2.3/{id}",
    "podcast": "/podcast/{id}/audio.ogg",
    "notes": "/notes/{id}/notes.pdf",
    "video": "/playback/video/{id}/",
    "screenshare": "/recording/screenshare/{id}/",
}


class MetadataError(BalancerError):
    """metadata.xml cannot be used. The text names the fault."""


@dataclass(frozen=True)
class Metadata:
    """The values of one format's metadata.xml; None if it has none."""

    record_id: str
    format: str
    state: str
    host: str | None  #: of the node, as the playback link names it
    meeting_id: str | None
    name: str | None
    is_breakout: bool | None
    parent_meeting_id: str | None
    breakout: Mapping[str, str] | None
    breakout_rooms: tuple[str, ...]
    start_ms: int | None
    end_ms: int | None
    participants: int | None
    raw_size: int | None
    meta: Mapping[str, str]
    url: str
    length_ms: int
    size_bytes: int | None
    processing_ms: int | None
    previews: tuple[Preview, ...]


def parse(content: bytes, record_id: str, playback_format: str) -> Metadata:
    """Read the metadata.xml found in ``playback_format/record_id/``. Raises MetadataError."""
    root = _root(content)
    _same("id", _text(root, "id"), record_id)
    playback = root.find("playback")
    if playback is None:
        raise MetadataError("metadata.xml has no <playback>")
    _same("playback/format", _text(playback, "format"), playback_format)
    meta = _meta(root)
    meeting = root.find("meeting")
    attributes = {} if meeting is None else {name: clean(value) for name, value in meeting.attrib.items()}
    breakout = root.find("breakout")
    return Metadata(
        record_id=record_id,
        format=playback_format,
        state=_state(root),
        host=_host(_text(playback, "link")),
        meeting_id=meta.get("meetingId") or attributes.get("externalId") or None,
        name=meta.get("meetingName") or attributes.get("name") or None,
        is_breakout=_flag(attributes.get("breakout") or meta.get("isBreakout")),
        parent_meeting_id=None if breakout is None else breakout.get("parentMeetingId"),
        breakout=None if breakout is None else _breakout(breakout),
        breakout_rooms=tuple(clean(room.text) for room in root.findall("breakoutRooms/breakoutRoom") if room.text),
        start_ms=_number(root, "start_time"),
        end_ms=_number(root, "end_time"),
        participants=_small(_number(root, "participants")),
        raw_size=_number(root, "raw_size"),
        meta=meta,
        url=_link(_text(playback, "link"), record_id, playback_format),
        length_ms=_number(playback, "duration") or 0,
        size_bytes=_number(playback, "size"),
        processing_ms=_number(playback, "processing_time"),
        previews=_previews(playback),
    )


def _root(content: bytes) -> Element:
    if len(content) > MAX_BYTES:
        raise MetadataError(f"metadata.xml is larger than {MAX_BYTES} bytes")
    try:
        root = fromstring(_decode(content), forbid_dtd=True)
    except DefusedXmlException as error:
        raise MetadataError("metadata.xml declares a document type or entities") from error
    except (ParseError, ValueError, RecursionError) as error:
        raise MetadataError(f"metadata.xml is not XML: {error}") from error
    if root.tag != "recording":
        raise MetadataError("metadata.xml does not begin with <recording>")
    return root


def _decode(content: bytes) -> str:
    """The text by its declared encoding. Invalid bytes are replaced, characters that XML cannot carry are dropped."""
    declared = _DECLARED.match(content)
    encoding = declared.group(1).decode("ascii") if declared else "utf-8-sig"
    try:
        text = content.decode(encoding, "replace")
    except LookupError:
        text = content.decode("utf-8-sig", "replace")
    return clean(_DECLARATION.sub("", text.removeprefix("\ufeff")))


def _same(what: str, said: str | None, expected: str) -> None:
    if said is not None and said != expected:
        raise MetadataError(f"metadata.xml says <{what}> {said[:100]!r} but is in the directory of {expected!r}")


def _text(element: Element, path: str) -> str | None:
    found = element.find(path)
    return (clean(found.text or "").strip() or None) if found is not None else None


def _number(element: Element, path: str) -> int | None:
    """A whole number of at least 0; None for anything else."""
    text = _text(element, path)
    if text is None or not re.fullmatch(r"[0-9]{1,19}(\.[0-9]*)?", text):
        return None
    value = int(text.partition(".")[0])
    return value if value < _BIGINT else None


def _small(value: int | None) -> int | None:
    return value if value is not None and value < 2**31 else None


def _flag(text: str | None) -> bool | None:
    return None if not text else text.lower() == "true"


def _state(root: Element) -> str:
    """The state. The screenshare and video scripts write "available" for published."""
    state = _text(root, "state")
    if state in (None, "available", PUBLISHED):
        return UNPUBLISHED if _flag(_text(root, "published")) is False else PUBLISHED
    return UNPUBLISHED


def _meta(root: Element) -> dict[str, str]:
    meta = root.find("meta")
    if meta is None:
        return {}
    named = ((each.tag, "".join(each.itertext())) for each in meta if not each.tag.startswith("{"))
    return {canonical_name(name): clean(value).strip() for name, value in named}


def _breakout(breakout: Element) -> dict[str, str]:
    names = {"parentMeetingId": "parentId", "sequence": "sequence", "freeJoin": "freeJoin"}
    return {shown: clean(breakout.get(name, "")) for name, shown in names.items()}


def _link(link: str | None, record_id: str, playback_format: str) -> str:
    """Path and query of the link, or the format's usual path if the link does not lead to this recording."""
    path = _local(link or "")
    if path is None or record_id not in path:
        return _LINKS.get(playback_format, f"/{playback_format}/{{id}}/").format(id=record_id)
    return path


def _local(url: str) -> str | None:
    """Path and query without scheme and host; None if there is no plain absolute path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return path if re.fullmatch(r"/(?!/)[^\s\\]*", path) else None


def _host(url: str | None) -> str | None:
    """The URL's host in lower case; None if it has none."""
    try:
        return urlsplit(url or "").hostname
    except ValueError:
        return None


def _previews(playback: Element) -> tuple[Preview, ...]:
    images = playback.findall("extensions/preview/images/image")[:_MAX_PREVIEWS]
    found = ((_local((image.text or "").strip()), image) for image in images)
    return tuple(
        Preview(path, *(clean(image.get(name, "")) for name in ("width", "height", "alt")))
        for path, image in found
        if path is not None
    )
