"""Which recording an address belongs to; anything that could be read in two ways belongs to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.core.playback import Media, PlayerFile, resolve
from tests.archives import RECORD_ID


@pytest.mark.parametrize(
    ("uri", "playback_format"),
    [
        (f"/presentation/{RECORD_ID}/metadata.xml", "presentation"),
        (f"/presentation/{RECORD_ID}/", "presentation"),
        (f"/presentation/{RECORD_ID}", "presentation"),
        (f"/presentation/{RECORD_ID}/video/webcams.webm?x=../..", "presentation"),
        (f"/presentation/{RECORD_ID}/%C3%BC%20b.png", "presentation"),
        (f"/%70resentation/{RECORD_ID}/a", "presentation"),
        (f"/video/{RECORD_ID}/video-0.m4v", "video"),
        (f"/podcast/{RECORD_ID}/audio.ogg", "podcast"),
        (f"/notes/{RECORD_ID}/notes.pdf", "notes"),
        (f"/playback/presentation/2.3/{RECORD_ID}", "presentation"),
        (f"/playback/presentation/2.3/{RECORD_ID}/", "presentation"),
        (f"/playback/video/{RECORD_ID}/", "video"),
        (f"/playback/screenshare/{RECORD_ID}/", "screenshare"),
        (f"/recording/screenshare/{RECORD_ID}/x", "screenshare"),
    ],
)
def test_media(uri: str, playback_format: str) -> None:
    assert resolve(uri) == Media(playback_format, RECORD_ID)


@pytest.mark.parametrize(
    "uri",
    [
        "/playback/presentation/2.3/static/js/main.js",
        "/playback/presentation/2.3/",
        "/playback/presentation/2.0/playback.html?meetingId=x",
        "/playback/plain/player.css",
    ],
)
def test_the_players_own_parts(uri: str) -> None:
    assert resolve(uri) == PlayerFile()


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/",
        "//",
        "presentation/a-1/x",
        f"http://evil/presentation/{RECORD_ID}/x",
        f"//presentation/{RECORD_ID}/x",
        f"/presentation//{RECORD_ID}/x",
        f"/presentation/./{RECORD_ID}/x",
        f"/presentation/{RECORD_ID}/../a-1/x",
        f"/presentation/{RECORD_ID}/..",
        f"/presentation/{RECORD_ID}/%2e%2e/a-1/x",
        f"/presentation/{RECORD_ID}/%252e%252e/a-1/x",
        f"/presentation/{RECORD_ID}%2f..%2fa-1/x",
        f"/presentation/{RECORD_ID}/a%00b",
        f"/presentation/{RECORD_ID}/a\\..\\b",
        f"/presentation/{RECORD_ID}/a%5cb",
        f"/presentation/{RECORD_ID}/%ff",
        f"/presentation/{RECORD_ID}/a%0ab",
        f"/presentation/{RECORD_ID.upper()}/x",
        "/presentation/metadata.xml",
        f"/deleted/presentation/{RECORD_ID}/x",
        f"/.trash/{RECORD_ID}/x",
        f"/internal/{RECORD_ID}/x",
        f"/playback/{RECORD_ID}/x",
        f"/playback/presentation/2.3/x/{RECORD_ID}",
        "/recording/raw/x",
        "/recording/",
        "/ünicode",
        "/\ud800",
    ],
)
def test_everything_else_is_nothing(uri: str) -> None:
    assert resolve(uri) is None


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    resolve(text)


@given(st.text(alphabet="/.%2efEFab01-\\?", max_size=80))
def test_media_never_come_from_a_path_that_climbs(tail: str) -> None:
    found = resolve(f"/presentation/{RECORD_ID}/{tail}")
    path = tail.partition("?")[0]
    if any(part in ("..", ".") for part in path.replace("%2e", ".").replace("%2E", ".").split("/")):
        assert found is None
