"""The plain player, in a real Chromium, on files such as a node publishes."""

import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from lab.simulator.recordings.media import media
from tests import archives
from tests.archives import RECORD_ID

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLAYER = Path(__file__).parents[3] / "roles" / "nginx" / "files" / "playback"
PAGES = re.compile(r"/(?:playback/presentation/2\.3|(?:playback/)?video|(?:recording/)?screenshare)/[^/]+/?")
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nHello\n"


class Site(ThreadingHTTPServer):
    """Serves the page where nginx would, media from a directory, and chosen paths with another status."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        self.asked: list[str] = []
        self.refused: dict[str, int] = {}
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(directory)))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(SimpleHTTPRequestHandler):
    server: Site
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".webm": "video/webm", ".m4v": "video/mp4"}  # noqa: RUF012

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        if PAGES.fullmatch(path):
            return str(PLAYER / "index.html")
        if path.startswith("/playback/plain/"):
            return str(PLAYER / path.removeprefix("/playback/plain/"))
        return super().translate_path(path)

    def send_head(self) -> Any:
        self.server.asked.append(self.path)
        for prefix, status in self.server.refused.items():
            if self.path.startswith(prefix):
                self.send_error(status)
                return None
        return super().send_head()

    def do_GET(self) -> None:
        """Parts of files too, as nginx serves them: without those no browser can seek."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A presentation and a video with media that play."""
    presentation = tmp_path / "presentation" / RECORD_ID
    slides = presentation / "presentation" / "d2d9-1"
    for directory in (slides / "svgs", slides / "thumbnails", presentation / "video", presentation / "deskshare"):
        directory.mkdir(parents=True)
    for number in (1, 2):
        (slides / "svgs" / f"slide{number}.svg").write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="600"><rect width="80" height="60"/></svg>'
        )
    (slides / "thumbnails" / "thumb-1.png").write_bytes((media() / "thumb.png").read_bytes())
    images = "".join(
        f'<image class="slide" in="{start}" out="9" xlink:href="presentation/d2d9-1/svgs/slide{number}.svg"/>'
        for number, start in ((1, "0.0"), (2, "1.0"))
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{images}</svg>'
    (presentation / "shapes.svg").write_text(svg)
    (presentation / "presentation_text.json").write_text(json.dumps({"d2d9-1": {"slide-1": "First", "slide-2": "<b>"}}))
    (presentation / "slides_new.xml").write_text(
        '<popcorn><chattimeline in="3" name="Ada &lt;i&gt;" message="&lt;img src=x onerror=alert(1)&gt;hi"/></popcorn>'
    )
    (presentation / "video" / "webcams.webm").write_bytes((media() / "webcams.webm").read_bytes())
    (presentation / "deskshare" / "deskshare.webm").write_bytes((media() / "deskshare.webm").read_bytes())
    (presentation / "metadata.xml").write_bytes(archives.presentation_xml(name="Algebra <script>alert(1)</script>"))
    video = tmp_path / "video" / RECORD_ID
    video.mkdir(parents=True)
    (video / "video-0.m4v").write_bytes((media() / "video-0.m4v").read_bytes())
    (video / "metadata.xml").write_bytes(archives.video_xml())
    for directory in (presentation, video):
        (directory / "captions.json").write_text('[{"locale": "en_US", "localeName": "English"}]')
        (directory / "caption_en_US.vtt").write_text(VTT)
    return tmp_path


@pytest.fixture
def site(tree: Path) -> Iterator[Site]:
    server = Site(tree)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser.new_context(locale="en-GB", timezone_id="UTC")
        browser.close()


@pytest.fixture
def page(context: Any) -> Iterator[Page]:
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    yield page
    page.close()
    assert errors == []


def opened(page: Page, address: str, state: str = "ready") -> Page:
    page.goto(address)
    page.wait_for_selector(f"body[data-state={state}]")
    return page


def accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found] == []


def plays(page: Page, selector: str) -> None:
    page.eval_on_selector(selector, "element => { element.muted = true; return element.play(); }")
    page.wait_for_function("selector => document.querySelector(selector).currentTime > 0", arg=selector)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_presentation_is_shown_plays_and_is_accessible(site: Site, page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    assert page.title() == page.inner_text("h1") == "Algebra <script>alert(1)</script>"
    assert page.inner_text("#about") == "4 September 2025 at 15:33 · 1:00:00 · 7 participants"
    assert page.locator("h2").all_inner_texts() == [
        "Webcams and sound",
        "Shared screen",
        "Presentation",
        "Slides",
        "Chat",
    ]
    accessible(page)
    plays(page, "video[aria-label='Webcams and sound']")
    plays(page, "video[aria-label='Shared screen']")


def test_captions_can_be_switched_on(site: Site, page: Page) -> None:
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    track = page.locator("track")
    assert [track.get_attribute(name) for name in ("kind", "srclang", "label")] == ["captions", "en-US", "English"]
    page.evaluate("document.querySelector('video').textTracks[0].mode = 'showing'")
    page.wait_for_function("document.querySelector('video').textTracks[0].cues?.length === 1")


def test_slides_follow_the_recording_and_lead_through_it(site: Site, page: Page) -> None:
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    assert page.get_attribute("img.slide", "alt") == "Slide 1: First"
    second = page.get_by_role("button", name="Slide 2, 0:01")
    second.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute("img.slide", "alt") == "Slide 2: <b>"
    assert second.get_attribute("aria-current") == "true"
    page.wait_for_function("document.querySelector('video').currentTime === 1")
    page.evaluate("document.querySelector('video').currentTime = 0")
    page.wait_for_function("document.querySelector('img.slide').alt === 'Slide 1: First'")


def test_chat_shows_words_and_never_markup(site: Site, page: Page) -> None:
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    assert page.inner_text(".chat li") == "0:03 Ada <i>: hi"


@pytest.mark.parametrize("address", ["/playback/video/{}/", "/video/{}/", "/video/{}"])
def test_a_video_plays_and_is_accessible(site: Site, page: Page, address: str) -> None:
    opened(page, site.origin + address.format(RECORD_ID))
    assert page.inner_text("h1") == "Algebra"
    accessible(page)
    page.wait_for_function("document.querySelector('video').readyState >= 1")


def test_sound_alone_is_played_where_there_is_no_picture(site: Site, page: Page, tree: Path) -> None:
    directory = tree / "presentation" / RECORD_ID
    (directory / "video" / "webcams.webm").unlink()
    (directory / "audio").mkdir()
    (directory / "audio" / "audio.ogg").write_bytes((media() / "audio.ogg").read_bytes())
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    plays(page, "audio")
    accessible(page)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "is protected"), (404, "is not published"), (500, "cannot be loaded at the moment")]
)
def test_what_cannot_be_played_is_explained(site: Site, page: Page, status: int, words: str) -> None:
    site.refused[f"/presentation/{RECORD_ID}/"] = status
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}", "failed")
    assert words in page.inner_text("[role=status]")
    accessible(page)


def test_a_recording_with_metadata_alone_says_so(site: Site, page: Page, tree: Path) -> None:
    (tree / "video" / RECORD_ID / "video-0.m4v").unlink()
    opened(page, f"{site.origin}/video/{RECORD_ID}/", "failed")
    assert "no media" in page.inner_text("[role=status]")


def test_nothing_is_asked_of_anybody_else(site: Site, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, f"{site.origin}/playback/presentation/2.3/{RECORD_ID}")
    page.wait_for_load_state("networkidle")
    strangers = [url for url in asked if not url.startswith((site.origin, "data:"))]
    assert strangers == []
