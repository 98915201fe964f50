"""Steps about people: how they join, with which link, and as whom the meeting shows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from pytest_bdd import given, parsers, then, when

from acceptance.steps.meetings import wait_until_gone
from acceptance.support import links
from acceptance.support.bbb import BBB, Answer
from acceptance.support.browser import Chromium
from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.links import Followed
from acceptance.support.meetings import Meeting, Meetings

Note = Callable[[str], None]
Patience = Callable[[float], float]
#: How a front end translates its own roles (reference: Moodle's plugin).
ROLES = {"teacher": "MODERATOR", "learner": "VIEWER"}


@given("a join link with its createTime", target_fixture="old_link")
def link_with_create_time(meetings: Meetings, meeting: Meeting) -> str:
    join = meeting.join("Early", "VIEWER", createTime=meeting.create_time, redirect="false")
    return meetings.join_link(join)


@when(parsers.parse("a {person} joins with a browser"))
def joins_with_a_browser(
    person: str,
    meeting: Meeting,
    meetings: Meetings,
    browser: Chromium,
    people: ExitStack,
    environment: Environment,
    note: Note,
) -> None:
    page = people.enter_context(browser.page())
    arrived = browser.join(page, meetings.join_link(meeting.join(person, ROLES[person])), environment.client)
    note(f"Chromium arrived at {arrived}")


@when("a guest follows the join link", target_fixture="followed")
def guest_follows(bbb: BBB, meeting: Meeting, meetings: Meetings) -> Followed:
    join = meeting.join("Guest", "VIEWER", guest="true", redirect="false")
    return links.follow(bbb, meetings.join_link(join))


@when(parsers.parse("somebody follows a join link with {flaw}"), target_fixture="followed")
def follows_a_bad_link(flaw: str, bbb: BBB, meeting: Meeting, meetings: Meetings) -> Followed:
    return links.follow(bbb, _flawed(flaw, meeting, meetings))


@when(
    parsers.parse("the meeting is ended, gone within {seconds:g} seconds, and created again"),
    target_fixture="meeting_again",
)
def recreated(meetings: Meetings, meeting: Meeting, bbb: BBB, patience: Patience, seconds: float) -> Meeting:
    meetings.end(meeting)
    wait_until_gone(bbb, meeting, patience(seconds))
    return meetings.create_again(meeting)


@then(parsers.parse("within {seconds:g} seconds the meeting shows the {person} as {role}"))
def shown_as(
    bbb: BBB, meeting: Meeting, patience: Patience, note: Note, seconds: float, person: str, role: str
) -> None:
    def shown() -> Answer:
        return bbb.call("getMeetingInfo", meetingID=meeting.id)

    info = eventually(
        shown,
        lambda answer: role in _roles(answer, person),
        within=patience(seconds),
        otherwise=lambda answer: (
            f"{person} should be {role} in {meeting.id}, the meeting shows {_roles(answer, person) or 'nobody'}"
            f" {answer.message}"
        ),
    )
    assert _roles(info, person) == [role], f"{person} is in {meeting.id} as {_roles(info, person)}"
    note(f"{meeting.id}: {person} is {role}")


@then(parsers.parse("within {seconds:g} seconds the guest is told to wait"))
def told_to_wait(bbb: BBB, followed: Followed, patience: Patience, seconds: float) -> None:
    _in_time(followed, patience(seconds))
    status = links.answer(bbb, followed).succeeded().text("guestStatus")
    assert status == "WAIT", f"a guest is let in as {status} though the meeting asks its moderator first"


@then(parsers.parse("within {seconds:g} seconds the join is refused with {key}"))
def refused_with(bbb: BBB, followed: Followed, patience: Patience, note: Note, seconds: float, key: str) -> None:
    _in_time(followed, patience(seconds))
    refusal = links.refusal(bbb, followed)
    assert refusal.key == key, f"{bbb.host} refuses the join, but with {refusal.key or refusal.form} instead of {key}"
    note(f"{refusal.key}: {refusal.message}")


@then(parsers.parse("within {seconds:g} seconds the old join link is refused with {key}"))
def old_link_refused(
    bbb: BBB,
    old_link: str,
    meeting: Meeting,
    meeting_again: Meeting,
    patience: Patience,
    note: Note,
    seconds: float,
    key: str,
) -> None:
    assert meeting_again.create_time != meeting.create_time, f"{meeting.id} was re-created with its old createTime"
    refused_with(bbb, links.follow(bbb, old_link), patience, note, seconds, key)


def _flawed(flaw: str, meeting: Meeting, meetings: Meetings) -> str:
    join = meeting.join("Intruder", "VIEWER", redirect="false")
    link = meetings.join_link(join)
    if flaw == "a role tampered with":
        return link.replace("role=VIEWER", "role=MODERATOR")
    if flaw == "a node's own signature":
        balancer = link.split("/join?", 1)[0]
        return (
            meetings.at(meetings.node_of(meeting)).signed("join", join).replace(meetings.node_of(meeting).url, balancer)
        )
    assert flaw == "a wrong signature", f"unknown flaw {flaw!r}"
    return link[:-8] + ("0" * 8 if not link.endswith("0" * 8) else "1" * 8)


def _roles(info: Answer, name: str) -> list[str]:
    return [user.findtext("role", "") for user in info.all("attendees/attendee") if user.findtext("fullName") == name]


def _in_time(followed: Followed, within: float) -> None:
    assert followed.seconds <= within, f"the join link was answered after {followed.seconds:.1f} s only"
