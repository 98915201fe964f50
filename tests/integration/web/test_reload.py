"""gunicorn and nginx are reloaded under load: no request fails."""

import http.client
import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.web.cluster import path
from tests.integration.web.edge import Edge, edge
from tests.integration.web.site import Site, until

CLIENTS = 4
#: Requests of one client at most: what ends a load that nobody ends.
MOST = 3000

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed: see bin/packages")


@dataclass
class Load:
    """Front ends that ask all the time, each over a connection that it keeps, and what went wrong."""

    origin: str
    meeting_id: str
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """One front end."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        info = path("getMeetingInfo", meetingID=self.meeting_id)
        asked = itertools.cycle(
            [
                ("GET", path("create", meetingID=self.meeting_id, name="A meeting"), "", {}),
                ("GET", info, "", {}),
                # nginx does not send a POST again by itself.
                ("POST", info, "x=1", form),
                ("GET", path("getMeetings"), "", {}),
            ]
        )
        connection = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=30)
        for _ in range(MOST):
            if self.stop.is_set():
                break
            self._ask(connection, *next(asked))
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: str, headers: dict[str, str]
    ) -> None:
        for kept in (True, False):
            try:
                connection.request(method, target, body or None, headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                break
            except (http.client.BadStatusLine, ConnectionError) as error:
                # nginx may have closed the connection since the last answer; on a new one nothing may go wrong.
                connection.close()
                if not kept:
                    self.failures.append(f"{method} {target}: {error!r}")
                    return
        if answer.status != 200 or "<returncode>SUCCESS" not in text:
            self.failures.append(f"{method} {target}: {answer.status} {text[:300]}")
        self.answered += 1


@pytest.fixture
def front(site: Site, tmp_path: Path) -> Iterator[Edge]:
    with edge(f"127.0.0.1:{site.server.port}", tmp_path) as found:
        yield found


@pytest.fixture
def load(site: Site, front: Edge, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Runs during the test; no request of it may fail."""
    load = Load(front.origin, request.node.name)
    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(load.run) for _ in range(CLIENTS)]
        try:
            yield load
            seen = load.answered
            until(lambda: load.answered > seen + 20 or load.stop.is_set())
        finally:
            load.stop.set()
        for each in running:
            each.result()
    assert load.failures == []


def test_gunicorn_reloads(site: Site, load: Load) -> None:
    for _ in range(2):
        before = site.server.workers()
        site.server.process.send_signal(signal.SIGHUP)
        until(lambda: bool(site.server.workers() - before) and not site.server.workers() & before)  # noqa: B023
        seen = load.answered
        until(lambda: load.answered > seen + 20)  # noqa: B023


def test_nginx_reloads(front: Edge, load: Load) -> None:
    for _ in range(3):
        before = front.workers()
        os.kill(front.process.pid, signal.SIGHUP)
        until(lambda: bool(front.workers() - before) and not front.workers() & before)  # noqa: B023
        seen = load.answered
        until(lambda: load.answered > seen + 20)  # noqa: B023
