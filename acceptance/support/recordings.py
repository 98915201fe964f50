"""Recordings as a front end lists them and as a player loads them, file by file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit
from xml.etree.ElementTree import Element

import requests

from acceptance.support.bbb import BBB

#: Files that BBB's own player requests below /presentation/ID/. A recording need not have all of them.
PRESENTATION_FILES = (
    *("metadata.xml", "shapes.svg", "panzooms.xml", "cursor.xml", "slides_new.xml", "deskshare.xml"),
    *("presentation_text.json", "captions.json", "polls.json", "external_videos.json", "notes.html", "tldraw.json"),
    *("video/webcams.mp4", "video/webcams.webm", "deskshare/deskshare.mp4", "deskshare/deskshare.webm"),
    *("audio/audio.webm", "audio/audio.ogg"),
)
PRESENTATION_NEEDED = ("metadata.xml", "shapes.svg")
PRESENTATION_MEDIA = ("video/webcams.mp4", "video/webcams.webm", "audio/audio.webm", "audio/audio.ogg")
VIDEO_FILES = ("metadata.xml", "video-0.m4v", "captions.json")
VIDEO_NEEDED = ("video-0.m4v",)
#: Links inside files, such as the slides in shapes.svg.
LINKED = re.compile(r'(?:xlink:href|href|src)="([^"#:]+\.(?:png|svg|jpe?g|webm|mp4|m4v|vtt))"')


@dataclass(frozen=True)
class Format:
    """One format of a recording: its type, the link for users, its length (minutes) and its preview images."""

    type: str
    url: str
    length: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """One recording as getRecordings lists it; times are Unix milliseconds as text."""

    id: str
    meeting_id: str
    name: str
    state: str
    start_time: str
    end_time: str
    participants: str
    formats: tuple[Format, ...]

    def compared(self) -> dict[str, object]:
        """What node and balancer must agree about. Links are left out because they name different hosts."""
        return {
            "meetingID": self.meeting_id,
            "name": self.name,
            "state": self.state,
            "startTime": self.start_time,
            "endTime": self.end_time,
            "participants": self.participants,
            "formats": sorted((one.type, one.length) for one in self.formats),
        }


def listed(api: BBB, record_id: str) -> Recording | None:
    """The recording as one endpoint lists it, or None if it does not; BBBError if the call fails."""
    answer = api.call("getRecordings", recordID=record_id).succeeded()
    for element in answer.all("recordings/recording"):
        if element.findtext("recordID") == record_id:
            return _recording(element)
    return None


def files(api: BBB, origin: str, recording: Recording) -> Iterator[tuple[str, bool]]:
    """Every URL that a player may request at an origin, and whether the recording must have it."""
    for one in recording.formats:
        if one.type == "presentation":
            base = f"{origin}/presentation/{recording.id}/"
            yield from ((base + name, name in PRESENTATION_NEEDED) for name in PRESENTATION_FILES)
            yield from ((url, True) for url in [*_linked(api, base, ("shapes.svg",)), *_captions(api, base)])
        elif one.type == "video":
            base = f"{origin}/playback/video/{recording.id}/"
            yield from ((base + name, name in VIDEO_NEEDED) for name in VIDEO_FILES)
            yield from ((url, True) for url in _captions(api, base))
        else:
            yield urljoin(origin, urlsplit(one.url).path), True
        yield from ((urljoin(origin, urlsplit(image).path), True) for image in one.images)


def media_missing(statuses: dict[str, int], recording: Recording) -> bool:
    """True if none of the files that loaded has a presentation's sound or picture."""
    if not any(one.type == "presentation" for one in recording.formats):
        return False
    loaded = [url for url, status in statuses.items() if status == requests.codes.ok]
    return not any(url.endswith(media) for url in loaded for media in PRESENTATION_MEDIA)


def load(api: BBB, url: str) -> tuple[int, int]:
    """HTTP status and size (bytes) of a file. It is read to the end, so an interrupted transfer is noticed."""
    response = api.get(url, allow_redirects=False)
    return response.status_code, len(response.content)


def _linked(api: BBB, base: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        response = api.get(base + name, allow_redirects=False)
        if response.ok:
            yield from (urljoin(base, link) for link in sorted(set(LINKED.findall(response.text))))


def _captions(api: BBB, base: str) -> Iterator[str]:
    """A player loads one file for each language in captions.json."""
    response = api.get(f"{base}captions.json", allow_redirects=False)
    if response.ok:
        yield from (f"{base}caption_{quote(each['locale'])}.vtt" for each in response.json())


def _recording(element: Element) -> Recording:
    def text(path: str) -> str:
        return (element.findtext(path) or "").strip()

    return Recording(
        id=text("recordID"),
        meeting_id=text("meetingID"),
        name=text("name"),
        state=text("state"),
        start_time=text("startTime"),
        end_time=text("endTime"),
        participants=text("participants"),
        formats=tuple(_format(one) for one in element.findall("playback/format")),
    )


def _format(element: Element) -> Format:
    images = tuple((image.text or "").strip() for image in element.findall("preview/images/image"))
    return Format(
        type=(element.findtext("type") or "").strip(),
        url=(element.findtext("url") or "").strip(),
        length=(element.findtext("length") or "").strip(),
        images=images,
    )
