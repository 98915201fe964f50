"""Steps about users: how they join, with which link, and which role the meeting shows."""

from __future__ import annotations

from pytest_bdd import given, parsers, then, when

from acceptance.steps.meetings import wait_until_gone
from acceptance.support.bbb import BBB, Answer
from acceptance.support.eventually import eventually
from acceptance.support.join_links import JoinResponse, follow
from acceptance.support.joined_users import Scene
from acceptance.support.meetings import Meeting, Meetings
from acceptance.support.step_types import Note, TimeLimit

#: A front end's roles as BBB's roles (source: Moodle's plugin).
ROLES = {"teacher": "MODERATOR", "learner": "VIEWER"}


@given("a join link with its createTime", target_fixture="old_link")
def link_with_create_time(meetings: Meetings, meeting: Meeting) -> str:
    join = meeting.join("Early", "VIEWER", createTime=meeting.create_time, redirect="false")
    return meetings.join_link(join)


@when(parsers.parse("a {person} joins with a browser"))
def joins_with_a_browser(person: str, meeting: Meeting, scene: Scene, note: Note) -> None:
    note(f"Chromium arrived at {scene.join(meeting, person, ROLES[person])}")


@when("a guest follows the join link", target_fixture="join_response")
def guest_follows(bbb: BBB, meeting: Meeting, meetings: Meetings) -> JoinResponse:
    join = meeting.join("Guest", "VIEWER", guest="true", redirect="false")
    return follow(bbb, meetings.join_link(join))


@when(parsers.parse("a user follows a join link with {flaw}"), target_fixture="join_response")
def follows_a_bad_link(flaw: str, bbb: BBB, meeting: Meeting, meetings: Meetings) -> JoinResponse:
    return follow(bbb, _flawed(flaw, meeting, meetings))


@when(
    parsers.parse("the meeting is ended, gone within {seconds:g} seconds, and created again"),
    target_fixture="meeting_again",
)
def recreated(meetings: Meetings, meeting: Meeting, bbb: BBB, time_limit: TimeLimit, seconds: float) -> Meeting:
    meetings.end(meeting)
    wait_until_gone(bbb, meeting, time_limit(seconds))
    return meetings.create_again(meeting)


@then(parsers.parse("within {seconds:g} seconds the meeting shows the {person} as {role}"))
def shown_as(
    bbb: BBB, meeting: Meeting, time_limit: TimeLimit, note: Note, seconds: float, person: str, role: str
) -> None:
    def shown() -> Answer:
        return bbb.call("getMeetingInfo", meetingID=meeting.id)

    info = eventually(
        shown,
        lambda answer: role in _roles(answer, person),
        within=time_limit(seconds),
        otherwise=lambda answer: (
            f"{person} should be {role} in {meeting.id}, the meeting shows {_roles(answer, person) or 'no such user'}"
            f" {answer.message}"
        ),
    )
    assert _roles(info, person) == [role], f"{person} is in {meeting.id} as {_roles(info, person)}"
    note(f"{meeting.id}: {person} is {role}")


@then(parsers.parse("within {seconds:g} seconds the guest is asked to wait"))
def asked_to_wait(bbb: BBB, join_response: JoinResponse, time_limit: TimeLimit, seconds: float) -> None:
    _assert_in_time(join_response, time_limit(seconds))
    status = bbb.parse("join", join_response.response).succeeded().text("guestStatus")
    assert status == "WAIT", f"a guest is let in as {status} although a moderator has to approve guests"


@then(parsers.parse("within {seconds:g} seconds the join is refused with {key}"))
def refused_with(
    bbb: BBB, join_response: JoinResponse, time_limit: TimeLimit, note: Note, seconds: float, key: str
) -> None:
    _assert_in_time(join_response, time_limit(seconds))
    refusal = bbb.refusal_of(join_response.response)
    assert refusal.key == key, f"{bbb.host} refuses the join with {refusal.key or refusal.form} instead of {key}"
    note(f"{refusal.key}: {refusal.message}")


@then(parsers.parse("within {seconds:g} seconds the old join link is refused with {key}"))
def old_link_refused(
    bbb: BBB,
    old_link: str,
    meeting: Meeting,
    meeting_again: Meeting,
    time_limit: TimeLimit,
    note: Note,
    seconds: float,
    key: str,
) -> None:
    assert meeting_again.create_time != meeting.create_time, f"{meeting.id} was re-created with its old createTime"
    refused_with(bbb, follow(bbb, old_link), time_limit, note, seconds, key)


def _flawed(flaw: str, meeting: Meeting, meetings: Meetings) -> str:
    join = meeting.join("Intruder", "VIEWER", redirect="false")
    link = meetings.join_link(join)
    if flaw == "a changed role":
        return link.replace("role=VIEWER", "role=MODERATOR")
    if flaw == "a node's own signature":
        node = meetings.node_of(meeting)
        return meetings.at(node).signed("join", join).replace(node.url, link.split("/join?", 1)[0])
    assert flaw == "a wrong signature", f"unknown flaw {flaw!r}"
    return link[:-8] + ("0" * 8 if not link.endswith("0" * 8) else "1" * 8)


def _roles(info: Answer, name: str) -> list[str]:
    return [user.findtext("role", "") for user in info.all("attendees/attendee") if user.findtext("fullName") == name]


def _assert_in_time(join_response: JoinResponse, within: float) -> None:
    assert join_response.seconds <= within, f"the answer to the join link took {join_response.seconds:.1f} s"
