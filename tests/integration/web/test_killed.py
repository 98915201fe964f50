"""Web workers are killed in the middle of a create: nothing stays half done, and the next create gets one meeting."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.eventually import until
from tests.integration.web.site import Site


def kill_workers_in_create(site: Site, meeting_id: str) -> None:
    """Begin a create, and kill every worker once a node has been asked."""
    with ThreadPoolExecutor(1) as front_end:
        asked = front_end.submit(site.create, meeting_id)
        until(lambda: any(asked_for(site, meeting_id)))
        for pid in site.server.workers():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(requests.ConnectionError):
            asked.result()
    assert [row["state"] for row in site.cluster.rows(meeting_id)] == ["creating"]


def asked_for(site: Site, meeting_id: str) -> list[str]:
    """Nodes that were asked for a create of this meetingID."""
    return [
        name
        for name in site.cluster.nodes
        for seen in site.cluster.requests(name, "create")
        if f"meetingID={meeting_id}&" in seen.query
    ]


@pytest.fixture
def slow(site: Site) -> Site:
    for name in site.cluster.nodes:
        site.cluster.misbehave(name, "slow", calls=["create"], seconds=1.5, times=1)
    return site


@pytest.fixture(autouse=True)
def mended(site: Site) -> object:
    yield
    for name in site.cluster.nodes:
        site.cluster.mend(name)


def test_the_poller_adopts_the_meeting_that_the_node_created(slow: Site) -> None:
    kill_workers_in_create(slow, "adopted")
    until(lambda: [state for _, state in slow.cluster.states("adopted")] == ["running"])
    slow.sound("adopted")
    assert slow.joins("adopted")
    assert slow.create("adopted").findtext("messageKey") == "duplicateWarning"
    slow.sound("adopted")


def test_the_next_create_gets_the_same_meeting(slow: Site) -> None:
    kill_workers_in_create(slow, "repeated")
    assert slow.created("repeated")
    assert slow.created("repeated")
    slow.sound("repeated")
    assert len(slow.cluster.rows("repeated")) == 1


def test_the_poller_ends_the_row_of_a_create_without_effect(site: Site) -> None:
    for name in site.cluster.nodes:
        site.cluster.misbehave(name, "hang", calls=["create"])
    kill_workers_in_create(site, "nothing")
    until(lambda: [state for _, state in site.cluster.states("nothing")] == ["ended"])
    for name in site.cluster.nodes:
        site.cluster.mend(name)
    until(lambda: site.created("nothing"))
    site.sound("nothing")
