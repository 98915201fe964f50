"""join: redirects, cookie, roles, guests, refusals (reference 3.3, 10.1)."""

import json
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.simulator.conftest import StartNode
from tests.simulator.front_end import Answer, FrontEnd

ENDED = "You can not join a meeting that has already been forcibly ended"


def errors(answer: Answer) -> list[dict[str, str]]:
    """The errors that a redirect carries."""
    assert answer.status == 302, answer.text
    found: list[dict[str, str]] = json.loads(parse_qs(urlsplit(str(answer.headers["Location"])).query)["errors"][0])
    return found


@pytest.mark.parametrize(
    ("profile", "path"),
    [("3.0", "/html5client"), ("2.7", "/html5client/join"), ("2.6", "/html5client/join")],
)
async def test_a_browser_is_sent_to_the_client_page_with_a_cookie(
    start_node: StartNode, profile: str, path: str
) -> None:
    front = await start_node(profile=profile, server_url="https://bbb1.example.org")
    await front.create()
    answer = await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER")
    address = urlsplit(str(answer.headers["Location"]))
    assert (answer.status, f"{address.scheme}://{address.netloc}", address.path) == (
        302,
        "https://bbb1.example.org",
        path,
    )
    assert len(parse_qs(address.query)["sessionToken"][0]) == 16
    cookie = SimpleCookie(str(answer.headers["Set-Cookie"]))["JSESSIONID"]
    assert cookie.value
    assert cookie["secure"]
    assert cookie["path"] == "/"


async def test_redirect_false_answers_xml_in_order(front: FrontEnd) -> None:
    created = await front.create()
    answer = await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER", redirect="false")
    assert [each.tag for each in answer.xml] == [
        *("returncode", "messageKey", "message", "meeting_id", "user_id", "auth_token", "session_token"),
        *("guestStatus", "url"),
    ]
    assert (answer.key, answer.get("guestStatus")) == ("successfullyJoined", "ALLOW")
    assert answer.get("meeting_id") == created.get("internalMeetingID")
    assert (answer.get("url") or "").endswith(f"/html5client?sessionToken={answer.get('session_token')}")


async def test_a_registered_user_whose_page_never_came_is_not_in_the_meeting(front: FrontEnd) -> None:
    await front.create()
    await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER")
    info = await front.call("getMeetingInfo", meetingID="course-77")
    assert (info.get("running"), info.get("hasUserJoined"), info.get("participantCount")) == ("false", "false", "0")
    assert (await front.call("isMeetingRunning", meetingID="course-77")).get("running") == "false"


@pytest.mark.parametrize(
    ("parameters", "role"),
    [
        ({"role": "moderator"}, "MODERATOR"),
        ({"password": "mm"}, "MODERATOR"),
        ({"password": "aa"}, "VIEWER"),
        ({"role": "VIEWER", "password": "mm"}, "VIEWER"),
        ({"role": "MODERATOR", "password": "aa"}, "MODERATOR"),
        ({"role": "nonsense", "password": "mm"}, "MODERATOR"),
    ],
)
async def test_the_role_wins_over_the_password(front: FrontEnd, parameters: dict[str, str], role: str) -> None:
    await front.create(attendeePW="aa", moderatorPW="mm")
    answer = await front.call("join", meetingID="course-77", fullName="Ada", redirect="false", **parameters)
    assert answer.ok, answer.text
    users = (await front.control("GET", "/users", meetingID="course-77"))["users"]
    assert [user["role"] for user in users] == [role]


# Policy, role, guest parameter, auth parameter, outcome: the table of reference 10.1.
TABLE = [
    ("ALWAYS_ACCEPT", "MODERATOR", None, None, "ALLOW"),
    ("ALWAYS_ACCEPT", "VIEWER", "true", None, "ALLOW"),
    ("ALWAYS_DENY", "MODERATOR", None, None, "ALLOW"),
    ("ALWAYS_DENY", "VIEWER", None, None, "DENY"),
    ("ALWAYS_DENY", "VIEWER", "true", None, "DENY"),
    ("ALWAYS_DENY", "VIEWER", "false", None, "DENY"),
    ("ASK_MODERATOR", "MODERATOR", "true", None, "ALLOW"),
    ("ASK_MODERATOR", "VIEWER", None, None, "WAIT"),
    ("ASK_MODERATOR", "VIEWER", "true", None, "WAIT"),
    ("ASK_MODERATOR", "VIEWER", "false", None, "ALLOW"),
    ("ASK_MODERATOR", "VIEWER", "false", "true", "WAIT"),
    ("ALWAYS_ACCEPT_AUTH", "VIEWER", None, None, "ALLOW"),
    ("ALWAYS_ACCEPT_AUTH", "VIEWER", "true", None, "WAIT"),
    ("ALWAYS_ACCEPT_AUTH", "VIEWER", "false", None, "ALLOW"),
    ("NO_SUCH_POLICY", "VIEWER", None, None, "DENY"),
    ("NO_SUCH_POLICY", "MODERATOR", None, None, "ALLOW"),
]


@pytest.mark.parametrize(("policy", "role", "guest", "auth", "outcome"), TABLE)
async def test_the_guest_policy_decides(
    front: FrontEnd, policy: str, role: str, guest: str | None, auth: str | None, outcome: str
) -> None:
    await front.create(guestPolicy=policy)
    optional = {name: value for name, value in (("guest", guest), ("auth", auth)) if value is not None}
    answer = await front.call("join", meetingID="course-77", fullName="Ada", role=role, redirect="false", **optional)
    if outcome == "DENY":
        assert answer.key == "guestDeniedAccess"
    else:
        assert answer.get("guestStatus") == outcome


async def test_without_authenticated_guests_even_a_moderator_waits(start_node: StartNode) -> None:
    front = await start_node(authenticated_guest=False)
    await front.create(guestPolicy="ASK_MODERATOR")
    join = {"meetingID": "course-77", "fullName": "Ada", "role": "MODERATOR", "redirect": "false"}
    assert (await front.call("join", **join, guest="true")).get("guestStatus") == "WAIT"
    assert (await front.call("join", **join)).get("guestStatus") == "ALLOW"


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"meetingID": "nope", "fullName": "Ada"}, "meetingForciblyEnded"),
        ({"meetingID": "nope", "fullName": ""}, "missingParamFullName"),
        ({"meetingID": "course-77", "fullName": ""}, "missingParamFullName"),
        ({"meetingID": "course-77", "fullName": "Ada", "role": "", "password": "wrong"}, "invalidPassword"),
        ({"meetingID": "course-77", "fullName": "Ada", "guest": "maybe"}, "validationError"),
        ({"meetingID": "course-77", "fullName": "Ada", "createTime": "soon"}, "validationError"),
        ({"meetingID": "course-77", "fullName": "Ada", "createTime": "1"}, "mismatchCreateTimeParam"),
    ],
)
async def test_a_refusal_is_xml_or_a_redirect_as_asked(front: FrontEnd, parameters: dict[str, str], key: str) -> None:
    await front.create()
    asked = {"role": "VIEWER"} | parameters
    assert (await front.call("join", **asked, redirect="false")).key == key
    answer = await front.call("join", **asked, logoutURL="https://lms.example.org/back?x=1")
    assert [each["key"] for each in errors(answer)] == [key]
    assert str(answer.headers["Location"]).startswith("https://lms.example.org/back?x=1&errors=")


async def test_a_wrong_signature_never_redirects_to_an_address_of_the_callers_choice(front: FrontEnd) -> None:
    answer = await front.fetch(
        "/bigbluebutton/api/join?meetingID=a&fullName=b&logoutURL=https%3A%2F%2Fevil.example&checksum=0"
    )
    assert errors(answer)[0]["key"] == "checksumError"
    assert str(answer.headers["Location"]).startswith(front.base)


async def test_late_refusals_go_to_error_redirect_url(front: FrontEnd) -> None:
    await front.create(guestPolicy="ALWAYS_DENY")
    answer = await front.call(
        "join",
        meetingID="course-77",
        fullName="Ada",
        role="VIEWER",
        logoutURL="https://lms.example.org/out",
        errorRedirectUrl="https://lms.example.org/error",
    )
    assert str(answer.headers["Location"]).startswith("https://lms.example.org/error?errors=")


async def test_2_6_redirects_refusals_even_without_redirect(start_node: StartNode) -> None:
    front = await start_node(profile="2.6")
    answer = await front.call("join", meetingID="nope", fullName="Ada", role="VIEWER", redirect="false")
    assert errors(answer) == [{"key": "meetingForciblyEnded", "message": ENDED}]


async def test_a_join_without_any_name_is_a_crash(front: FrontEnd) -> None:
    await front.create()
    answer = await front.call("join", meetingID="course-77", role="VIEWER")
    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_a_join_with_neither_role_nor_password_is_xml_even_with_redirect(front: FrontEnd) -> None:
    await front.create()
    answer = await front.call("join", meetingID="course-77", fullName="Ada")
    assert (answer.status, answer.key) == (200, "Params required")


@pytest.mark.parametrize(("profile", "status"), [("3.0", 405), ("2.6", 405), ("2.6.10", 302)])
async def test_join_by_post_ended_with_2_6_18(start_node: StartNode, profile: str, status: int) -> None:
    front = await start_node(profile=profile)
    await front.create()
    answer = await front.call("join", {"method": "POST"}, meetingID="course-77", fullName="Ada", role="VIEWER")
    assert answer.status == status


async def test_a_full_meeting_accepts_only_users_that_it_already_has(front: FrontEnd) -> None:
    await front.create(maxParticipants=1)
    known = (await front.add_users(1))[0]["userID"]
    join = {"meetingID": "course-77", "fullName": "Ada", "role": "VIEWER", "redirect": "false"}
    assert (await front.call("join", **join)).key == "maxParticipantsReached"
    assert (await front.call("join", **join, userID=known)).ok


async def test_a_fourth_session_of_one_person_ejects_the_first(front: FrontEnd) -> None:
    await front.create()
    joined = [
        await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER", userID="ada", redirect="false")
        for _ in range(4)
    ]
    assert all(answer.ok for answer in joined)
    # None of the four has a page, so none is in the meeting yet and none is ejected.
    users = (await front.control("GET", "/users", meetingID="course-77"))["users"]
    assert [user["presence"] for user in users] == ["registered"] * 4
