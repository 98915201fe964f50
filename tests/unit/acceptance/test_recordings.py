"""Which files of a recording have to load: those that a player would ask for."""

from __future__ import annotations

import json
from typing import Any

import requests

from acceptance.support import recordings
from acceptance.support.bbb import BBB
from acceptance.support.recordings import Format, Recording

ORIGIN = "https://bbb.test"
SHAPES = '<svg><image xlink:href="presentation/p/svgs/slide1.svg" text="presentation/p/textfiles/slide-1.txt"/></svg>'


class Served(BBB):
    """An endpoint that serves these files alone."""

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(f"{ORIGIN}/bigbluebutton/api", "s")
        self.files = files

    def get(self, url: str, **options: Any) -> requests.Response:
        response = requests.Response()
        response.url, text = url, self.files.get(url)
        response.status_code, response._content = (404, b"") if text is None else (200, text.encode())
        return response


def recording(*formats: str) -> Recording:
    found = tuple(Format(each, f"{ORIGIN}/{each}/r1", "1", ()) for each in formats)
    return Recording("r1", "m", "n", "published", "1", "2", "1", found)


def needed(files: dict[str, str], *formats: str) -> set[str]:
    return {
        url.removeprefix(ORIGIN) for url, must in recordings.files(Served(files), ORIGIN, recording(*formats)) if must
    }


def test_slides_and_captions_are_found_where_the_recording_names_them() -> None:
    """Each language of captions.json is a file of its own, and so is each slide of shapes.svg."""
    base = f"{ORIGIN}/presentation/r1/"
    captions = json.dumps([{"locale": "en", "localeName": "English"}, {"locale": "de-DE", "localeName": "Deutsch"}])
    assert needed({f"{base}shapes.svg": SHAPES, f"{base}captions.json": captions}, "presentation") == {
        "/presentation/r1/metadata.xml",
        "/presentation/r1/shapes.svg",
        "/presentation/r1/presentation/p/svgs/slide1.svg",
        "/presentation/r1/caption_en.vtt",
        "/presentation/r1/caption_de-DE.vtt",
    }


def test_a_video_has_captions_too() -> None:
    files = {f"{ORIGIN}/playback/video/r1/captions.json": json.dumps([{"locale": "en"}])}
    assert needed(files, "video") == {"/playback/video/r1/video-0.m4v", "/playback/video/r1/caption_en.vtt"}


def test_without_captions_none_is_asked_for() -> None:
    assert needed({}, "presentation") == {"/presentation/r1/metadata.xml", "/presentation/r1/shapes.svg"}
