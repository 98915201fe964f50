"""Steps about pages that people see, in a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from playwright.sync_api import Page
from pytest_bdd import given, parsers, then, when

from acceptance.support.bbb import BBB
from acceptance.support.browser import Chromium, accessibility_problems, open_page

Note = Callable[[str], None]
Patience = Callable[[float], float]
#: A page that explains something has more than a heading.
EXPLANATION_LENGTH = 30


@dataclass(frozen=True)
class Opened:
    """A page in the browser and how long it took to load (seconds)."""

    page: Page
    status: int
    seconds: float


@given("a join link to a meeting that never was", target_fixture="link")
def link_to_nothing(bbb: BBB) -> str:
    return bbb.signed("join", {"fullName": "Nobody", "meetingID": "acceptance-never-was", "role": "VIEWER"})


@when("somebody opens it with a browser", target_fixture="opened")
def open_link(link: str, browser: Chromium, people: ExitStack) -> Opened:
    page = people.enter_context(browser.page())
    started = time.monotonic()
    status = open_page(page, link)
    return Opened(page, status, time.monotonic() - started)


@then(parsers.parse("within {seconds:g} seconds a page explains the failure"))
def explains(opened: Opened, patience: Patience, note: Note, seconds: float) -> None:
    assert opened.seconds <= patience(seconds), f"the page took {opened.seconds:.1f} s"
    heading, text = opened.page.locator("h1").first.inner_text(), opened.page.locator("body").inner_text()
    assert len(text) > EXPLANATION_LENGTH, f"{opened.page.url.split('?')[0]} explains nothing: {text!r}"
    note(f"“{heading}” (HTTP {opened.status})")


@then("the page has no accessibility problem")
def accessible(opened: Opened, note: Note) -> None:
    problems = accessibility_problems(opened.page)
    assert not problems, f"the page of a failed join: {'; '.join(problems)}"
    note("axe-core has nothing to object to")
