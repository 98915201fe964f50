"""All pollers are dead: what they wrote about a node that was away is no longer believed."""

import os
import signal

import pytest

from tests.eventually import until
from tests.integration.web.site import Site


def test_a_node_that_came_back_while_no_poller_ran_is_asked_and_joined(
    site: Site, request: pytest.FixtureRequest
) -> None:
    meeting = request.node.name
    home = site.cluster.home(meeting)
    site.cluster.misbehave(home, "refuse")
    until(lambda: not site.joins(meeting))

    def said() -> int:
        return site.server.log.read_text().count('"no poller runs')

    before = said()  # workers began before the poller
    os.kill(site.poller.pid, signal.SIGSTOP)
    try:
        site.cluster.mend(home)
        until(lambda: site.joined_by_all(meeting))
        assert site.succeeds("getMeetingInfo", meetingID=meeting)
        assert site.cluster.observed(home) == "unreachable"
        until(lambda: said() > before)
    finally:
        os.kill(site.poller.pid, signal.SIGCONT)
    until(lambda: site.cluster.observed(home) == "online")
    # Each worker believed the old news again until it read the new one.
    until(lambda: site.joined_by_all(meeting))
