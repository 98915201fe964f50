"""A node's pages in a real Chromium: playback works, and the pages are accessible."""

import shutil
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.simulator.browser import browser as browser
from tests.simulator.conftest import StartNode
from tests.simulator.test_recordings import QUICK, record

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="media is made by ffmpeg"),
]


async def problems(page: Page) -> list[str]:
    violations = (await Axe().run(page)).response["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:100]}" for rule in violations]


async def test_a_recording_plays_in_both_formats(browser: Browser, start_node: StartNode, tmp_path: Path) -> None:
    front = await start_node(formats=QUICK)
    record_id = await record(front, tmp_path)
    page = await browser.new_page()
    await page.goto(f"{front.base}/playback/presentation/2.3/{record_id}")
    await expect(page.get_by_role("status")).to_have_text("Ready to play.")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Algèbra & <more>")
    assert await problems(page) == []
    for path in (None, f"/playback/video/{record_id}/"):
        if path:
            await page.goto(front.base + path)
        video = page.locator("video")
        await video.evaluate("(video) => { video.muted = true; return video.play(); }")
        assert 3 < await video.evaluate("(video) => video.duration") < 6
    await page.goto(f"{front.base}/playback/presentation/2.3/none-1")
    await expect(page.get_by_role("status")).to_have_text("There is no recording none-1.")


async def test_the_client_page_is_accessible(browser: Browser, start_node: StartNode) -> None:
    front = await start_node()
    await front.create(record="true")
    page = await browser.new_page()
    await page.goto(front.link("join", meetingID="course-77", fullName="Ada", role="MODERATOR"))
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")
    await page.get_by_role("button", name="Camera").click()
    await expect(page.get_by_role("button", name="Camera", pressed=True)).to_be_visible()
    assert await problems(page) == []
