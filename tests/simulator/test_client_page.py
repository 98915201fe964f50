"""The client page in a real Chromium: joining, leaving, camera and microphone, lobby, record button."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.eventually import until_async
from tests.simulator.browser import browser as browser
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import FrontEnd

pytestmark = pytest.mark.browser


async def join(browser: Browser, front: FrontEnd, name: str, role: str = "VIEWER", **parameters: Any) -> Page:
    """Follow a join link like a user's browser, in a separate profile."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(front.link("join", meetingID="course-77", fullName=name, role=role, **parameters))
    return page


async def attendees(front: FrontEnd) -> list[tuple[str | None, ...]]:
    answer = await front.call("getMeetingInfo", meetingID="course-77")
    return [
        tuple(user.findtext(name) for name in ("fullName", "role", "hasJoinedVoice", "hasVideo"))
        for user in answer.xml.iterfind("attendees/attendee")
    ]


async def nobody_is_in(front: FrontEnd) -> bool:
    return await attendees(front) == []


async def test_a_user_is_in_while_the_page_is_open(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    page = await join(browser, front, "Ada", "MODERATOR")
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Algebra")
    assert await attendees(front) == [("Ada", "MODERATOR", "false", "false")]
    assert (await front.call("isMeetingRunning", meetingID="course-77")).get("running") == "true"
    # Another user is shown without reloading.
    other = await join(browser, front, "Bob")
    await expect(page.get_by_test_id("userList").get_by_role("listitem")).to_have_count(2)
    await other.context.close()
    await expect(page.get_by_test_id("userList").get_by_role("listitem")).to_have_count(1)
    await page.context.close()
    await until_async(lambda: nobody_is_in(front))


async def test_microphone_and_camera_are_real_media_and_show_in_the_api(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    page = await join(browser, front, "Ada")
    await page.get_by_role("button", name="Microphone").click()
    await page.get_by_role("button", name="Camera").click()

    async def both() -> bool:
        return await attendees(front) == [("Ada", "VIEWER", "true", "true")]

    await until_async(both)
    assert await page.locator("#self").evaluate("(video) => video.videoWidth") > 0
    await page.get_by_role("button", name="Camera").click()

    async def audio_only() -> bool:
        return await attendees(front) == [("Ada", "VIEWER", "true", "false")]

    await until_async(audio_only)


async def test_bbbs_own_settings_press_the_buttons(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    link = {"userdata-bbb_auto_join_audio": "true", "userdata-bbb_auto_share_webcam": "true"}
    await join(browser, front, "Ada", **link)

    async def both() -> bool:
        return await attendees(front) == [("Ada", "VIEWER", "true", "true")]

    await until_async(both)
    info = await front.call("getMeetingInfo", meetingID="course-77")
    assert info.get("attendees/attendee/customdata/bbb_auto_join_audio") == "true"


async def test_leaving_leads_to_the_meetings_logout_url(browser: Browser, front: FrontEnd) -> None:
    await front.create(logoutURL=f"{front.base}/")
    page = await join(browser, front, "Ada")
    await page.get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("status")).to_have_text("You have left the meeting.")
    # The page shows the text before its connection is closed.
    await until_async(lambda: nobody_is_in(front))
    await page.get_by_role("link", name="Back").click()
    await expect(page.get_by_role("heading", name="BigBlueButton node simulator")).to_be_visible()


async def test_an_end_is_shown(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    page = await join(browser, front, "Ada")
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")
    await front.call("end", meetingID="course-77")
    await expect(page.get_by_role("status")).to_have_text("The meeting has ended.")


async def test_only_a_moderator_of_a_recorded_meeting_can_record(browser: Browser, front: FrontEnd) -> None:
    await front.create(record="true")
    viewer = await join(browser, front, "Bob")
    moderator = await join(browser, front, "Ada", "MODERATOR")
    await expect(viewer.get_by_role("status")).to_have_text("You are in the meeting.")
    await expect(viewer.get_by_role("button", name="Record")).to_be_hidden()
    await moderator.get_by_role("button", name="Record").click()
    await expect(viewer.get_by_role("status")).to_have_text("You are in the meeting. It is being recorded.")
    assert (await front.control("GET", "/meetings"))["meetings"][0]["recording"] is True


async def test_a_guest_waits_until_a_moderator_lets_them_in(browser: Browser, front: FrontEnd) -> None:
    await front.create(guestPolicy="ASK_MODERATOR")
    moderator = await join(browser, front, "Ada", "MODERATOR")
    guest = await join(browser, front, "Bob", guest="true")
    denied = await join(browser, front, "Eve", guest="true")
    await expect(guest.get_by_role("status")).to_contain_text("wait for a moderator")
    assert [user[0] for user in await attendees(front)] == ["Ada"]
    await moderator.get_by_role("button", name="Accept Bob").click()
    await moderator.get_by_role("button", name="Deny Eve").click()
    await expect(guest.get_by_role("status")).to_have_text("You are in the meeting.")
    await expect(denied.get_by_role("status")).to_contain_text("denied")
    assert sorted(user[0] or "" for user in await attendees(front)) == ["Ada", "Bob"]


async def test_the_page_of_another_browser_is_refused(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    answer = await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER", redirect="false")
    page = await browser.new_page()
    await page.goto(answer.get("url") or "")
    # The cookie went to the client that made the call, so this browser has none.
    await expect(page.get_by_role("status")).to_have_text("The connection to the meeting was lost or refused.")
    assert await attendees(front) == []


async def test_without_sessions_any_browser_may_open_the_page(browser: Browser, start_node: StartNode) -> None:
    front = await start_node(requests_without_session=True)
    await front.create()
    answer = await front.call("join", meetingID="course-77", fullName="Ada", role="VIEWER", redirect="false")
    page = await browser.new_page()
    await page.goto(answer.get("url") or "")
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")


async def test_reloading_brings_the_user_back(browser: Browser, start_node: StartNode) -> None:
    front = await start_node(profile="2.7")
    await front.create()
    page = await join(browser, front, "Ada")
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("You are in the meeting.")
    assert [user[0] for user in await attendees(front)] == ["Ada"]


async def test_chat_travels_between_pages_and_markup_stays_text(browser: Browser, front: FrontEnd) -> None:
    await front.create()
    ada, bob = await join(browser, front, "Ada"), await join(browser, front, "<b>Bob</b>")
    await ada.get_by_label("Message").fill("<img src=x>")
    await ada.get_by_role("button", name="Send").click()
    await expect(bob.get_by_test_id("chatMessages")).to_have_text("Ada: <img src=x>")
    await expect(ada.get_by_test_id("userList")).to_contain_text("<b>Bob</b> (viewer)")
