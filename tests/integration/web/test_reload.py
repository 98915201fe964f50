"""gunicorn is reloaded and restarted, nginx reloaded, under load: no request fails."""

import http.client
import itertools
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.eventually import until
from tests.integration.web.cluster import path
from tests.integration.web.edge import Edge, edge
from tests.integration.web.server import serving
from tests.integration.web.site import SETTINGS, Site

CLIENTS = 4
#: Limit of requests per client, which ends the load if the test does not.
MOST = 20_000

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed: see bin/packages")


@dataclass
class Load:
    """Front ends that ask all the time, each over a connection that it keeps, and what went wrong."""

    origin: str
    meeting_id: str
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def goes_on(self) -> None:
        """Raises AssertionError if requests are no longer answered."""
        seen = self.answered
        until(lambda: self.answered > seen + 20)

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
    """Runs during the test."""
    with loading(front, request.node.name) as load:
        yield load


@contextmanager
def loading(front: Edge, meeting_id: str) -> Iterator[Load]:
    """Load in the block; no request of it may fail."""
    load = Load(front.origin, meeting_id)
    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(load.run) for _ in range(CLIENTS)]
        try:
            yield load
            load.goes_on()
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
        load.goes_on()


def test_nginx_reloads(front: Edge, load: Load) -> None:
    for _ in range(3):
        before = front.workers()
        os.kill(front.process.pid, signal.SIGHUP)
        until(lambda: bool(front.workers() - before) and not front.workers() & before)  # noqa: B023
        load.goes_on()


def test_gunicorn_restarts_while_its_socket_stays(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As a new release does it: the socket is systemd's, and requests wait in it."""
    stores = (site.postgresql.url(), site.redis.url(), tmp_path)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, ExitStack() as stack:
        old = stack.enter_context(serving(*stores, listener, **SETTINGS))
        front = stack.enter_context(edge(f"127.0.0.1:{old.port}", tmp_path))
        with loading(front, request.node.name) as load:
            load.goes_on()
            old.process.send_signal(signal.SIGTERM)
            old.process.wait(60)
            stack.enter_context(serving(*stores, listener, **SETTINGS))
            load.goes_on()
