"""Paths as front ends write them."""

import time

import pytest

from balancer.web.canonical_paths import canonical


@pytest.mark.parametrize(
    ("path", "routed"),
    [
        ("/bigbluebutton/api/create", "/bigbluebutton/api/create"),
        ("/bigbluebutton/api/hooks/list", "/bigbluebutton/api/hooks/list"),
        ("/bigbluebutton/api", "/bigbluebutton/api"),
        ("/bigbluebutton/api/", "/bigbluebutton/api"),
        ("/bigbluebutton", "/bigbluebutton/api"),
        ("/bigbluebutton/", "/bigbluebutton/api"),
        ("/api", "/bigbluebutton/api"),
        ("/api/", "/bigbluebutton/api"),
        ("/api/join", "/bigbluebutton/api/join"),
        ("/api/api/join", "/bigbluebutton/api/join"),
        ("//bigbluebutton///api//join//", "/bigbluebutton/api/join"),
        ("/bigbluebuttonapi/join", "/bigbluebutton/api/join"),
        ("/bigbluebutton/apijoin", "/bigbluebutton/api/join"),
        ("/bigbluebutton/join", "/bigbluebutton/api/join"),
        # Not ours to touch.
        ("/", "/"),
        ("/livez", "/livez"),
        ("/internal/playback", "/internal/playback"),
        ("//internal/playback", "//internal/playback"),
        ("/apix/create", "/apix/create"),
        ("/bigbluebutton/api/create.xml", "/bigbluebutton/api/create.xml"),
        ("/bigbluebutton/api/a/b/c", "/bigbluebutton/api/a/b/c"),
        ("/x/bigbluebutton/api/create", "/x/bigbluebutton/api/create"),
        ("", ""),
    ],
)
def test_canonical(path: str, routed: str) -> None:
    assert canonical(path) == routed


@pytest.mark.parametrize("path", ["/" * 60_000 + "x", "/bigbluebutton" + "/" * 60_000 + "-", "/api" * 15_000 + "-"])
def test_no_path_takes_long(path: str) -> None:
    before = time.thread_time()
    canonical(path)
    assert time.thread_time() - before < 0.5
