"""Headless Chromium with a fake camera and microphone. Certificates are always verified."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
)
#: Milliseconds for a page to load; a scenario's own deadline may be shorter.
PAGE_TIMEOUT = 20_000
#: Buttons of BBB's own client, by the attribute that it has for tests.
MICROPHONE_BUTTONS = 'button[data-test="microphoneBtn"], button[data-test="joinEchoTestButton"]'
ECHO_BUTTONS = 'button[data-test="echoYesBtn"], button[data-test="joinEchoTestButton"]'
IN_AUDIO = 'button[data-test="muteMicButton"], button[data-test="unmuteMicButton"], button[data-test="isTalking"]'


class Chromium:
    """One browser for the run; each user has a separate profile."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A page in a fresh profile with camera and microphone allowed."""
        context = self._browser.new_context(permissions=["camera", "microphone"])
        context.set_default_timeout(PAGE_TIMEOUT)
        try:
            yield context.new_page()
        finally:
            context.close()

    def join(self, page: Page, link: str, client: str) -> str:
        """Opens a join link and joins with the microphone; returns the URL reached, without its query.

        `client` is `bbb` for BigBlueButton's own client, whose audio dialogue is answered, or `simulator`.
        """
        open_page(page, link)
        if client == "bbb":
            page.locator(MICROPHONE_BUTTONS).first.click()
            page.locator(f"{ECHO_BUTTONS}, {IN_AUDIO}").first.wait_for()
            if page.locator(ECHO_BUTTONS).first.is_visible():
                page.locator(ECHO_BUTTONS).first.click()
            page.locator(IN_AUDIO).first.wait_for()
        return page.url.split("?", 1)[0]


def open_page(page: Page, url: str) -> int:
    """Opens a URL and returns the final HTTP status; AssertionError with Chromium's reason if it cannot."""
    try:
        response = page.goto(url, wait_until="load")
    except PlaywrightError as error:
        reason = error.message.splitlines()[0].removeprefix("Page.goto: ")
        raise AssertionError(f"Chromium cannot open {url.split('?', 1)[0]}: {reason}") from error
    return response.status if response else 0


def accessibility_problems(page: Page) -> list[str]:
    """The rules of axe-core that the page violates: one line each, with the first element concerned."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{rule['id']} ({rule['impact']}): {rule['help']}: {rule['nodes'][0]['html'][:120]}" for rule in violations]


@contextmanager
def chromium(home: Path, ca_file: Path | None) -> Iterator[Chromium]:
    """Starts Chromium with its own home directory, whose certificate store also trusts `ca_file`."""
    if ca_file:
        _trust(home, ca_file)
    with sync_playwright() as playwright:
        browser = _launch(playwright, home)
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def _launch(playwright: Playwright, home: Path) -> Browser:
    # Chromium's sandbox needs a user that is not root.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    return playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env=dict(environment))


def _trust(home: Path, ca_file: Path) -> None:
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    for command in (
        ["certutil", "-d", database, "-N", "--empty-password"],
        ["certutil", "-d", database, "-A", "-n", "cluster", "-t", "C,,", "-i", str(ca_file)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command[:4])}: {done.stderr.strip()}"
