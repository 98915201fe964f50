"""Fixture: a headless Chromium with fake camera and microphone."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
#: Milliseconds. On a busy machine a browser sometimes needs more than playwright's default of 5 s.
TIMEOUT = 30_000
FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    arguments = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    environment: dict[str, str | float | bool] = {**os.environ, "HOME": str(tmp_path)}
    expect.set_options(timeout=TIMEOUT)
    async with async_playwright() as playwright:
        # BBB's own attribute for tests.
        playwright.selectors.set_test_id_attribute("data-test")
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env=environment)
        yield chromium
        await chromium.close()
