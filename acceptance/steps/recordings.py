"""Steps about recordings: making them, waiting for them, playing them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page
from pytest_bdd import given, parsers, then, when

from acceptance.support import recordings, way
from acceptance.support.bbb import BBB
from acceptance.support.browser import Chromium, accessibility_problems, open_page
from acceptance.support.diagnosis import why_missing
from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Hosts
from acceptance.support.meetings import Meetings, Placed
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.recordings import Recording

Note = Callable[[str], None]
Patience = Callable[[float], float]
RECORDED = {"record": "true", "autoStartRecording": "true", "allowStartStopRecording": "false"}
#: Links of formats that a browser downloads instead of showing.
NO_PAGE = (".pdf",)
#: Metadata that must come through unharmed.
MARK = {"meta_acceptance-mark": "Überprüfung & <proof>"}


@dataclass
class Takes:
    """The recorded meetings of this run; the scenarios of the feature share them, since recording takes long."""

    placed: list[Placed] = field(default_factory=list)
    ended: float | None = None


@pytest.fixture(scope="session")
def takes() -> Takes:
    """Recorded meetings of this run."""
    return Takes()


@given("the spool is open to what nodes hand over")
def spool_open(hosts: Hosts, note: Note) -> None:
    if not hosts.known:
        note("the hosts cannot be looked at")
    elif troubles := way.spool_troubles(hosts):
        raise NotProved(f"blocked: {'; '.join(troubles)}")


@given(parsers.parse("recorded meetings on {count:d} nodes, with somebody talking in each"))
def record_on_nodes(
    takes: Takes,
    meetings: Meetings,
    bbb: BBB,
    browser: Chromium,
    people: ExitStack,
    environment: Environment,
    note: Note,
    count: int,
) -> None:
    takes.placed = meetings.place_on_different_nodes(count, "recorded", **RECORDED, **MARK)
    for one in takes.placed:
        meetings.will_be_recorded(one.meeting)
        page = people.enter_context(browser.page())
        link = meetings.join_link(one.meeting.join("Speaker", "MODERATOR"))
        note(f"{one.meeting.id}: somebody talks at {browser.join(page, link, environment.client)}")
    began = time.monotonic()
    eventually(
        lambda: _talks_on(takes.placed, bbb) and time.monotonic() - began,
        lambda lasted: lasted >= environment.record_seconds,
        within=environment.record_seconds + 30 * environment.patience,
        otherwise=lambda _: "nobody is seen in the recorded meetings, so nothing is recorded",
        every=2,
    )


@when("they are ended")
def end_them(takes: Takes, meetings: Meetings) -> None:
    for one in takes.placed:
        meetings.end(one.meeting)
    takes.ended = time.monotonic()


@given("recordings that the balancer lists", target_fixture="arrived")
def arrived_recordings(takes: Takes, bbb: BBB) -> list[tuple[Placed, Recording]]:
    found = [(one, recordings.listed(bbb, one.meeting.internal_id)) for one in takes.placed]
    arrived = [(one, recording) for one, recording in found if recording is not None]
    if not arrived:
        raise NotProved("blocked: the balancer lists no recording of this run")
    return arrived


@then("within the publishing deadline the balancer lists a recording of each")
def lists_each(takes: Takes, bbb: BBB, hosts: Hosts, operator: Operator, environment: Environment, note: Note) -> None:
    assert takes.ended is not None
    for one in takes.placed:
        left = max(0.0, takes.ended + environment.publishing_deadline - time.monotonic())
        recording = _wait_for(one, bbb, hosts, operator, left)
        assert recording.name == one.meeting.id, f"the recording of {one.meeting.id} is called {recording.name}"
        formats = ", ".join(each.type for each in recording.formats)
        note(f"{one.meeting.id} of {one.node.name}: {formats}, after {time.monotonic() - takes.ended:.0f} s")


@when("somebody opens the playback of each format with a browser", target_fixture="playbacks")
def open_playbacks(
    arrived: list[tuple[Placed, Recording]], browser: Chromium, people: ExitStack, environment: Environment
) -> list[Page]:
    return [
        _play(people.enter_context(browser.page()), each.url, one, environment)
        for one, recording in arrived
        for each in recording.formats
        if not each.url.endswith(NO_PAGE)
    ]


@then(parsers.parse("within {seconds:g} seconds each page has loaded with all that it asks for"))
def playbacks_complete(playbacks: list[Page], patience: Patience, note: Note, seconds: float) -> None:
    for page in playbacks:
        page.wait_for_load_state("networkidle", timeout=patience(seconds) * 1000)
        where = page.url.split("?", 1)[0]
        missing = page.evaluate(BROKEN_ELEMENTS)
        assert not missing, f"{where} shows what did not load: {', '.join(missing)}"
        _plays(page, where, patience(seconds))
        note(f"{where}: {len(page.evaluate(LOADED))} files")


@then("no playback page has an accessibility problem")
def playbacks_accessible(playbacks: list[Page]) -> None:
    for page in playbacks:
        if page.evaluate("document.contentType") == "text/html":
            problems = accessibility_problems(page)
            assert not problems, f"{page.url.split('?', 1)[0]}: {'; '.join(problems)}"


@then(parsers.parse("within {seconds:g} seconds each file of each recording loads as on its node"))
def files_load(
    arrived: list[tuple[Placed, Recording]],
    bbb: BBB,
    meetings: Meetings,
    environment: Environment,
    note: Note,
    seconds: float,
) -> None:
    for one, recording in arrived:
        node = meetings.at(one.node)
        needed = dict(recordings.files(bbb, environment.origin, recording))
        loaded = {url: recordings.load(bbb, url) for url in needed}
        troubles = [
            f"{url} answers {status}"
            for url, (status, size) in loaded.items()
            if (status, size) != (200, size) and (needed[url] or _at_node(node, url, environment)[0] == 200)
        ]
        troubles += _different(node, loaded, environment)
        assert not troubles, f"recording of {one.meeting.id} (made on {one.node.host}): {'; '.join(troubles)}"
        statuses = {url: status for url, (status, _) in loaded.items()}
        assert not recordings.media_missing(statuses, recording), f"{recording.id} has neither sound nor picture"
        note(f"{one.meeting.id}: {sum(status == 200 for status in statuses.values())} files")


@then("within the publishing deadline getRecordings of the balancer agrees with the node's")
def both_agree(
    arrived: list[tuple[Placed, Recording]], bbb: BBB, meetings: Meetings, environment: Environment, note: Note
) -> None:
    # Each format is ready at a time of its own.
    for one, _ in arrived:
        note(f"{one.meeting.id}: {_agree(one, bbb, meetings.at(one.node), environment.publishing_deadline)}")


#: Pictures and media elements of a page that failed to load.
BROKEN_ELEMENTS = """() => [...document.querySelectorAll('img, video, audio')].filter(e =>
  e.tagName === 'IMG' ? e.complete && !e.naturalWidth : e.error || e.networkState === 3
).map(e => e.currentSrc || e.src)"""
#: Holds once a medium of the page can be played.
PLAYABLE = "() => [...document.querySelectorAll('video, audio')].some(e => e.readyState >= 1)"
LOADED = "() => performance.getEntriesByType('resource').map(e => e.name)"


def _wait_for(one: Placed, bbb: BBB, hosts: Hosts, operator: Operator, within: float) -> Recording:
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


def _talks_on(placed: list[Placed], bbb: BBB) -> bool:
    return all(bbb.call("getMeetingInfo", meetingID=one.meeting.id).text("participantCount") == "1" for one in placed)


def _play(page: Page, url: str, one: Placed, environment: Environment) -> Page:
    assert url.startswith(environment.origin), f"the playback of {one.meeting.id} leads to {urlsplit(url).hostname}"
    status = open_page(page, url)
    assert status in (200, 206), f"{url} answers {status}"
    return page


def _plays(page: Page, where: str, within: float) -> None:
    eventually(
        lambda: bool(page.evaluate(PLAYABLE)),
        bool,
        within=within,
        otherwise=lambda _: f"{where} shows nothing that can be played",
    )


def _at_node(node: BBB, url: str, environment: Environment) -> tuple[int, int]:
    parts = urlsplit(node.url)
    return recordings.load(node, url.replace(environment.origin, f"{parts.scheme}://{parts.netloc}"))


def _different(node: BBB, loaded: dict[str, tuple[int, int]], environment: Environment) -> list[str]:
    # metadata.xml and what is made from it name the host, so they may differ in length.
    same = {url: seen for url, seen in loaded.items() if seen[0] == 200 and not url.endswith(("metadata.xml", "/"))}
    return [
        f"{url} has {seen[1]} bytes, at {node.host} {there[1]}"
        for url, seen in same.items()
        if (there := _at_node(node, url, environment))[0] == 200 and there[1] != seen[1]
    ]


def _agree(one: Placed, bbb: BBB, node: BBB, within: float) -> str:
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
