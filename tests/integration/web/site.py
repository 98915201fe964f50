"""A whole site of real processes: gunicorn, a poller, PostgreSQL and Redis of its own, and simulated nodes."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import requests

from lab.services import PostgreSQL, Process, Redis
from tests.eventually import until
from tests.integration.web.cluster import SECRET, Cluster, path
from tests.integration.web.server import Server, serving

BALANCER = Path(sys.executable).parent / "balancer"
POLL_INTERVAL = 0.5
#: Short, so that a create that was cut off is looked for soon.
SETTINGS = {
    "poll_interval": str(POLL_INTERVAL),
    "poll_timeout": "1",
    "node_connect_timeout": "1",
    "node_read_timeout": "3",
    "create_timeout": "4",
}


@dataclass(frozen=True)
class Site:
    """What a front end sees of it, and what a test does to it."""

    cluster: Cluster  #: its nodes and rows; the app in it is not used
    server: Server
    poller: Process
    postgresql: PostgreSQL
    redis: Redis

    def call(self, name: str, /, **parameters: str) -> Element:
        """Every BBB answer is XML with HTTP 200, and comes before a front end gives up."""
        answer = requests.get(self.server.origin + path(name, **parameters), timeout=25)
        assert answer.status_code == 200, answer.text
        found: Element = defusedxml.ElementTree.fromstring(answer.content)
        return found

    def succeeds(self, name: str, /, **parameters: str) -> bool:
        return self.call(name, **parameters).findtext("returncode") == "SUCCESS"

    def create(self, meeting_id: str) -> Element:
        return self.call("create", meetingID=meeting_id, name="A meeting")

    def created(self, meeting_id: str) -> bool:
        return self.create(meeting_id).findtext("returncode") == "SUCCESS"

    def created_by_all(self, meeting_id: str) -> bool:
        """As ``created``, of each worker."""
        return _by_all(self.created, meeting_id)

    def joins(self, meeting_id: str) -> bool:
        """Whether a user is sent to the node that has the meeting."""
        target = path("join", meetingID=meeting_id, fullName="Ann", role="VIEWER")
        answer = requests.get(self.server.origin + target, allow_redirects=False, timeout=25)
        return answer.status_code == 302 and answer.headers["Location"].startswith("http://127.0.0.1:")

    def joined_by_all(self, meeting_id: str) -> bool:
        """As ``joins``, of each worker."""
        return _by_all(self.joins, meeting_id)

    def listed(self) -> set[str]:
        """meetingIDs that getMeetings lists."""
        return {each.text or "" for each in self.call("getMeetings").iterfind("meetings/meeting/meetingID")}

    def polls(self) -> int:
        # Of the totals, because the log keeps a limited number of requests.
        return sum(self.cluster.servers[name].node.request_log.totals["getMeetings"] for name in self.cluster.nodes)

    def unlogged(self) -> None:
        """No process said a secret, and none was surprised."""
        for log in (self.server.log, self.poller.log):
            text = log.read_text()
            assert SECRET not in text
            assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:3000]

    def sound(self, *meeting_ids: str) -> None:
        """Each meeting has one live row, and is on the one node that this says."""
        for meeting_id in meeting_ids:
            (row,) = [each for each in self.cluster.rows(meeting_id) if each["state"] in ("creating", "running")]
            assert row["state"] == "running"
            assert row["node_name"] == self.cluster.home(meeting_id)
            info = self.call("getMeetingInfo", meetingID=meeting_id)
            assert info.findtext("internalMeetingID") == row["internal_meeting_id"]


def _by_all(call: Callable[[str], bool], meeting_id: str) -> bool:
    """Whether it succeeds for so many callers at one time that each worker has some of them."""
    with ThreadPoolExecutor(8) as callers:
        return all(callers.map(call, [meeting_id] * 16))


@contextmanager
def running(cluster: Cluster, postgresql: PostgreSQL, redis: Redis, directory: Path) -> Iterator[Site]:
    """gunicorn and a poller around a cluster's nodes."""
    stores = (postgresql.url(), redis.url())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BALANCER_")},
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": stores[0],
        "BALANCER_REDIS_URL": stores[1],
        "BALANCER_SECRETS": SECRET,
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        **{f"BALANCER_{name.upper()}": value for name, value in SETTINGS.items()},
    }
    with ExitStack() as stack:
        server = stack.enter_context(serving(*stores, directory, **SETTINGS))
        poller = Process("poller", [BALANCER, "poller", "run"], directory / "poller.log", environment=environment)
        stack.callback(poller.stop)
        site = Site(cluster, server, poller, postgresql, redis)
        until(lambda: site.polls() > len(cluster.nodes))
        yield site
