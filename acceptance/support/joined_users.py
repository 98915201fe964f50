"""Users in meetings: joins through a browser, and keeps the users there until the scenario ends."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from playwright.sync_api import Page

from acceptance.support.browser import Chromium
from acceptance.support.environment import Environment
from acceptance.support.meetings import Meeting, Meetings, PlacedMeeting


@dataclass(frozen=True)
class Scene:
    """What a scenario with users acts on. `people` holds the open pages, one for each user."""

    meetings: Meetings
    browser: Chromium
    people: ExitStack
    environment: Environment

    def new_page(self) -> Page:
        """A page in a fresh profile that stays open until the scenario ends."""
        return self.people.enter_context(self.browser.page())

    def join(self, meeting: Meeting, name: str, role: str) -> str:
        """Joins a meeting and stays there; returns the URL that the user reached, without its query."""
        link = self.meetings.join_link(meeting.join(name, role))
        return self.browser.join(self.new_page(), link, self.environment.client)

    def join_on_its_node(self, placed: PlacedMeeting, name: str, role: str = "MODERATOR") -> None:
        """Joins a meeting and stays there; AssertionError if the user reached another host than the meeting's node."""
        arrived = self.join(placed.meeting, name, role)
        assert placed.node.hostname in arrived, (
            f"{name} joined {placed.meeting.id} and arrived at {arrived}, but the meeting runs on {placed.node.host}"
        )
