"""Steps about pages that users see in a browser."""

from __future__ import annotations

import time
from dataclasses import dataclass

from playwright.sync_api import Page
from pytest_bdd import given, parsers, then, when

from acceptance.support.bbb import BBB
from acceptance.support.browser import accessibility_problems, open_page
from acceptance.support.joined_users import Scene
from acceptance.support.step_types import Note, TimeLimit

#: Characters. A page that explains something is longer than a heading.
EXPLANATION_LENGTH = 30


@dataclass(frozen=True)
class OpenedPage:
    """A page in the browser and how long it took to load (seconds)."""

    page: Page
    status: int
    seconds: float


@given("a join link to a meeting that does not exist", target_fixture="link")
def link_to_no_meeting(bbb: BBB) -> str:
    return bbb.signed("join", {"fullName": "Nobody", "meetingID": "acceptance-no-such-meeting", "role": "VIEWER"})


@when("a user opens the join link with a browser", target_fixture="opened")
def open_link(link: str, scene: Scene) -> OpenedPage:
    page = scene.new_page()
    started = time.monotonic()
    status = open_page(page, link)
    return OpenedPage(page, status, time.monotonic() - started)


@then(parsers.parse("within {seconds:g} seconds a page explains the failure"))
def explains(opened: OpenedPage, time_limit: TimeLimit, note: Note, seconds: float) -> None:
    assert opened.seconds <= time_limit(seconds), f"the page took {opened.seconds:.1f} s"
    heading, text = opened.page.locator("h1").first.inner_text(), opened.page.locator("body").inner_text()
    assert len(text) > EXPLANATION_LENGTH, f"{opened.page.url.split('?')[0]} explains nothing: {text!r}"
    note(f"“{heading}” (HTTP {opened.status})")


@then("the page has no accessibility problem")
def accessible(opened: OpenedPage, note: Note) -> None:
    problems = accessibility_problems(opened.page)
    assert not problems, f"the page of a failed join: {'; '.join(problems)}"
    note("axe-core finds no problem")
