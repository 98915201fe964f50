"""Steps about recordings: making them, waiting for them, playing them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page
from pytest_bdd import given, parsers, then, when

from acceptance.support import recording_directories, recordings
from acceptance.support.bbb import BBB
from acceptance.support.browser import accessibility_problems, open_page
from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Hosts
from acceptance.support.joined_users import Scene
from acceptance.support.meetings import Meetings, PlacedMeeting
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.recording_diagnosis import why_missing
from acceptance.support.recordings import Recording
from acceptance.support.step_types import Note, TimeLimit

RECORDED = {"record": "true", "autoStartRecording": "true", "allowStartStopRecording": "false"}
#: Links of formats that a browser downloads instead of showing.
NO_PAGE = (".pdf",)
#: Metadata that must not prevent a recording, whatever its characters.
MARK = {"meta_acceptance-mark": "Überprüfung & <proof>"}
#: Pictures and media elements of a page that failed to load.
BROKEN_ELEMENTS = """() => [...document.querySelectorAll('img, video, audio')].filter(e =>
  e.tagName === 'IMG' ? e.complete && !e.naturalWidth : e.error || e.networkState === 3
).map(e => e.currentSrc || e.src)"""
#: True once one of the media of the page can be played.
PLAYABLE = "() => [...document.querySelectorAll('video, audio')].some(e => e.readyState >= 1)"
LOADED = "() => performance.getEntriesByType('resource').map(e => e.name)"


@dataclass
class RecordedMeetings:
    """The recorded meetings of this run. All scenarios of the feature share them because recording takes long."""

    placed: list[PlacedMeeting] = field(default_factory=list)
    ended: float | None = None


@pytest.fixture(scope="session")
def recorded() -> RecordedMeetings:
    """The recorded meetings of this run."""
    return RecordedMeetings()


@given("nodes can hand recordings over to the spool")
def spool_writable(hosts: Hosts, note: Note) -> None:
    if not hosts.known:
        note("the hosts cannot be checked without an inventory")
    elif errors := recording_directories.spool_errors(hosts):
        raise NotProved(f"blocked: {'; '.join(errors)}")


@given(parsers.parse("recorded meetings on {count:d} nodes, with a user talking in each"))
def record_on_nodes(recorded: RecordedMeetings, scene: Scene, bbb: BBB, note: Note, count: int) -> None:
    environment = scene.environment
    recorded.placed = scene.meetings.place_on_different_nodes(count, "recorded", **RECORDED, **MARK)
    for one in recorded.placed:
        scene.meetings.will_be_recorded(one.meeting)
        note(f"{one.meeting.id}: a user talks at {scene.join(one.meeting, 'Speaker', 'MODERATOR')}")
    began = time.monotonic()
    eventually(
        lambda: _all_have_a_user(recorded.placed, bbb) and time.monotonic() - began,
        lambda lasted: lasted >= environment.record_seconds,
        within=environment.record_seconds + 30 * environment.patience,
        otherwise=lambda _: "the recorded meetings show no user, so nothing is recorded",
        every=2,
    )


@when("the recorded meetings are ended")
def end_recorded(recorded: RecordedMeetings, meetings: Meetings) -> None:
    for one in recorded.placed:
        meetings.end(one.meeting)
    recorded.ended = time.monotonic()


@given("recordings that the balancer lists", target_fixture="arrived")
def arrived_recordings(recorded: RecordedMeetings, bbb: BBB) -> list[tuple[PlacedMeeting, Recording]]:
    found = [(one, recordings.listed(bbb, one.meeting.internal_id)) for one in recorded.placed]
    arrived = [(one, recording) for one, recording in found if recording is not None]
    if not arrived:
        raise NotProved("blocked: the balancer lists no recording of this run")
    return arrived


@then("within the publishing deadline the balancer lists a recording of each meeting")
def lists_each(
    recorded: RecordedMeetings, bbb: BBB, hosts: Hosts, operator: Operator, environment: Environment, note: Note
) -> None:
    assert recorded.ended is not None
    for one in recorded.placed:
        left = max(0.0, recorded.ended + environment.publishing_deadline - time.monotonic())
        recording = _wait_for(one, bbb, hosts, operator, left)
        assert recording.name == one.meeting.id, f"the recording of {one.meeting.id} is called {recording.name}"
        formats = ", ".join(each.type for each in recording.formats)
        note(f"{one.meeting.id} of {one.node.name}: {formats}, after {time.monotonic() - recorded.ended:.0f} s")


@when("a user opens the playback of each format with a browser", target_fixture="playbacks")
def open_playbacks(arrived: list[tuple[PlacedMeeting, Recording]], scene: Scene) -> list[Page]:
    return [
        _play(scene.new_page(), each.url, one, scene.environment)
        for one, recording in arrived
        for each in recording.formats
        if not each.url.endswith(NO_PAGE)
    ]


@then(parsers.parse("within {seconds:g} seconds each playback page has loaded with all its files"))
def playbacks_complete(playbacks: list[Page], time_limit: TimeLimit, note: Note, seconds: float) -> None:
    for page in playbacks:
        page.wait_for_load_state("networkidle", timeout=time_limit(seconds) * 1000)
        url = page.url.split("?", 1)[0]
        missing = page.evaluate(BROKEN_ELEMENTS)
        assert not missing, f"{url} did not load: {', '.join(missing)}"
        _wait_until_playable(page, url, time_limit(seconds))
        note(f"{url}: {len(page.evaluate(LOADED))} files")


@then("no playback page has an accessibility problem")
def playbacks_accessible(playbacks: list[Page]) -> None:
    for page in playbacks:
        if page.evaluate("document.contentType") == "text/html":
            problems = accessibility_problems(page)
            assert not problems, f"{page.url.split('?', 1)[0]}: {'; '.join(problems)}"


@then(parsers.parse("within {seconds:g} seconds each file of each recording loads as on its node"))
def files_load(
    arrived: list[tuple[PlacedMeeting, Recording]], bbb: BBB, meetings: Meetings, environment: Environment, note: Note
) -> None:
    for one, recording in arrived:
        node = meetings.at(one.node)
        needed = dict(recordings.files(bbb, environment.origin, recording))
        loaded = {url: recordings.load(bbb, url) for url in needed}
        errors = [
            f"{url} answers {status}"
            for url, (status, size) in loaded.items()
            if (status, size) != (200, size) and (needed[url] or _at_node(node, url, environment)[0] == 200)
        ]
        errors += _size_differences(node, loaded, environment)
        assert not errors, f"recording of {one.meeting.id} (made on {one.node.host}): {'; '.join(errors)}"
        statuses = {url: status for url, (status, _) in loaded.items()}
        assert not recordings.media_missing(statuses, recording), f"{recording.id} has neither sound nor picture"
        note(f"{one.meeting.id}: {sum(status == 200 for status in statuses.values())} files")


@then("within the publishing deadline getRecordings of the balancer agrees with the node's")
def both_agree(
    arrived: list[tuple[PlacedMeeting, Recording]], bbb: BBB, meetings: Meetings, environment: Environment, note: Note
) -> None:
    # The formats are not ready at the same time.
    for one, _ in arrived:
        note(f"{one.meeting.id}: {_wait_until_equal(one, bbb, meetings.at(one.node), environment.publishing_deadline)}")


def _wait_for(one: PlacedMeeting, bbb: BBB, hosts: Hosts, operator: Operator, within: float) -> Recording:
    found = eventually(
        lambda: recordings.listed(bbb, one.meeting.internal_id),
        lambda recording: recording is not None and bool(recording.formats),
        within=within,
        otherwise=lambda _: (
            f"the recording of {one.meeting.id}, made on {one.node.host}, does not appear:"
            f" {why_missing(hosts, operator, one.node, one.meeting.internal_id)}"
        ),
        every=1,
    )
    assert found is not None
    return found


def _all_have_a_user(placed: list[PlacedMeeting], bbb: BBB) -> bool:
    return all(bbb.call("getMeetingInfo", meetingID=one.meeting.id).text("participantCount") == "1" for one in placed)


def _play(page: Page, url: str, one: PlacedMeeting, environment: Environment) -> Page:
    assert url.startswith(environment.origin), f"the playback of {one.meeting.id} leads to {urlsplit(url).hostname}"
    status = open_page(page, url)
    assert status in (200, 206), f"{url} answers {status}"
    return page


def _wait_until_playable(page: Page, url: str, within: float) -> None:
    eventually(
        lambda: bool(page.evaluate(PLAYABLE)),
        bool,
        within=within,
        otherwise=lambda _: f"{url} has no media that can be played",
    )


def _at_node(node: BBB, url: str, environment: Environment) -> tuple[int, int]:
    parts = urlsplit(node.url)
    return recordings.load(node, url.replace(environment.origin, f"{parts.scheme}://{parts.netloc}"))


def _size_differences(node: BBB, loaded: dict[str, tuple[int, int]], environment: Environment) -> list[str]:
    # metadata.xml and pages made from it name the host, so their sizes may differ.
    sizes = {
        url: size for url, (status, size) in loaded.items() if status == 200 and not url.endswith(("metadata.xml", "/"))
    }
    return [
        f"{url} has {size} bytes, at {node.host} {size_there}"
        for url, size in sizes.items()
        for status_there, size_there in [_at_node(node, url, environment)]
        if status_there == 200 and size_there != size
    ]


def _wait_until_equal(one: PlacedMeeting, bbb: BBB, node: BBB, within: float) -> str:
    def compared(api: BBB) -> dict[str, object]:
        recording = recordings.listed(api, one.meeting.internal_id)
        return recording.compared() if recording else {}

    ours, _ = eventually(
        lambda: (compared(bbb), compared(node)),
        lambda both: both[0] == both[1],
        within=within,
        otherwise=lambda both: f"the balancer and {one.node.host} differ about {one.meeting.id}: {_difference(*both)}",
    )
    return ", ".join(f"{key} {value}" for key, value in ours.items())


def _difference(ours: dict[str, object], theirs: dict[str, object]) -> str:
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return "; ".join(f"{key} {ours.get(key)!r} and {theirs.get(key)!r}" for key in keys)
