"""The files of a recording that have to load: those that a player requests."""

from __future__ import annotations

import json
from typing import Any

import requests

from acceptance.support import recordings
from acceptance.support.bbb import BBB
from acceptance.support.recordings import Format, Recording
from tests.unit.acceptance.http_response import response

ORIGIN = "https://bbb.test"
SHAPES = '<svg><image xlink:href="presentation/p/svgs/slide1.svg" text="presentation/p/textfiles/slide-1.txt"/></svg>'


class Served(BBB):
    """An endpoint that serves only these files."""

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(f"{ORIGIN}/bigbluebutton/api", "s")
        self.files = files

    def get(self, url: str, **options: Any) -> requests.Response:
        return response(url, 200, self.files[url]) if url in self.files else response(url, 404)


def recording(*formats: str) -> Recording:
    listed = tuple(Format(each, f"{ORIGIN}/{each}/r1", "1", ()) for each in formats)
    return Recording("r1", "m", "n", "published", "1", "2", "1", listed)


def needed(files: dict[str, str], *formats: str) -> set[str]:
    return {
        url.removeprefix(ORIGIN) for url, must in recordings.files(Served(files), ORIGIN, recording(*formats)) if must
    }


def test_slides_and_captions_that_the_recording_names_are_needed() -> None:
    """A file for each language in captions.json and for each slide in shapes.svg."""
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


def test_without_captions_none_is_needed() -> None:
    assert needed({}, "presentation") == {"/presentation/r1/metadata.xml", "/presentation/r1/shapes.svg"}
