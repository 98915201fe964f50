"""A whole balancer around simulated nodes: its app, real stores, and a poller that polls when a test calls it."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import requests
from flask import Flask
from werkzeug.test import TestResponse

from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.settings import Settings
from balancer.storage.lease import POLLER, Lease
from balancer.storage.postgresql import nodes as node_rows
from balancer.storage.postgresql.database import connect
from balancer.web.services import Services, of
from lab.simulator.node import Node as SimulatedNode
from lab.simulator.server import NodeServer
from lab.simulator.settings import NodeSettings
from tests.integration.table_rows import add_meeting, add_tenant
from tests.poll_rounds import opened

API = "/bigbluebutton/api"
SECRET = "a-secret-of-the-front-end"
NODE_SECRET = "a-secret-of-the-simulated-nodes"

T = TypeVar("T")


class Loop:
    """An event loop in a thread: the simulated nodes live there, tests and the app do not."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nodes")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        """Wait for ``work``, done in the loop."""
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(timeout)

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class Answer:
    """A BBB answer, and the response that carried it."""

    response: TestResponse
    root: Element

    @property
    def success(self) -> bool:
        return self.root.findtext("returncode") == "SUCCESS"

    @property
    def key(self) -> str:
        return self.root.findtext("messageKey") or ""

    def __getitem__(self, path: str) -> str:
        text = self.root.findtext(path)
        assert text is not None, f"{path} is missing in {self.response.text}"
        return text


def sign(call: str, query: str, secret: str = SECRET, algorithm: str = "sha256") -> str:
    """Written out again, so that a mistake in ours is found."""
    return hashlib.new(algorithm, (call + query + secret).encode()).hexdigest()


def path(call: str, /, query: str | None = None, *, secret: str = SECRET, **parameters: str) -> str:
    """Path and signed query of a call."""
    query = urlencode(parameters, quote_via=quote_plus) if query is None else query
    return f"{API}/{call}?{query}{'&' if query else ''}checksum={sign(call, query, secret)}"


def read(response: TestResponse) -> Answer:
    """Every BBB answer is XML with HTTP 200."""
    assert response.status_code == 200, response.text
    assert response.content_type == "text/xml;charset=utf-8", response.text
    return Answer(response, defusedxml.ElementTree.fromstring(response.data))


class Cluster:
    """What a test holds in its hands."""

    def __init__(self, app: Flask, settings: Settings, loop: Loop, root: Path) -> None:
        self.app = app
        self.settings = settings
        self.loop = loop
        self.servers: dict[str, NodeServer] = {}
        self.nodes: dict[str, Node] = {}
        self._root = root

    @property
    def services(self) -> Services:
        return of(self.app)

    # Calls to the balancer.

    def call(self, name: str, /, **parameters: str) -> Answer:
        return read(self.app.test_client().get(path(name, **parameters)))

    def create(self, meeting_id: str, **parameters: str) -> Answer:
        return self.call("create", meetingID=meeting_id, **{"name": "A meeting", **parameters})

    def join(self, meeting_id: str, headers: dict[str, str] | None = None, **parameters: str) -> TestResponse:
        given = {"meetingID": meeting_id, "fullName": "Ann", "role": "VIEWER", **parameters}
        return self.app.test_client().get(path("join", **given), headers=headers)

    # Nodes, by name.

    def add(self, *names: str, state: AdminState = AdminState.ENABLED, **options: Any) -> None:
        """Start and register nodes; they are placed on once they have been polled."""
        for name in names:
            simulated = SimulatedNode(
                NodeSettings(
                    server_url=f"https://{name}.example.org",
                    secret=NODE_SECRET,
                    root=self._root / name,
                    **{"end_delay": 0.05, **options},
                )
            )
            self.servers[name] = NodeServer(simulated, "127.0.0.1", 0)
            self.loop.run(self.servers[name].start())
            url = f"http://127.0.0.1:{self.servers[name].port}/bigbluebutton/api/"
            declared = node_rows.Declaration(name=name, url=url, secret=NODE_SECRET)
            with connect(self.settings.database_url) as connection:
                self.nodes[name] = node_rows.add(connection, declared, state)
        self.services.registry.refresh()

    def set_state(self, name: str, state: AdminState) -> None:
        with connect(self.settings.database_url) as connection:
            node_rows.set_admin_state(connection, name, state)
        self.services.registry.refresh()

    def poll(self, times: int = 1) -> None:
        """One round of the real poller, seen by the app at once."""

        async def once() -> None:
            async with opened(self.settings) as poller:
                for _ in range(times):
                    assert await poller.run_once()
                self.services.registry.check_poller()

        self.loop.run(once())
        self.services.registry.refresh()
        self.services.recent.forget()

    def observe(self, name: str, state: ObservedState, since: timedelta = timedelta(seconds=1)) -> None:
        """What a poller writes of a node, seen by the app at once, and that there is one."""
        self.execute(
            "UPDATE node_observations SET state = %s, reason = 'connect', since = now() - %s WHERE node_id = %s",
            state.value,
            since,
            self.nodes[name].id,
        )
        lease = Lease(POLLER, self.services.redis, self.services.database, ttl=10)
        assert lease.hold()
        self.services.registry.check_poller()
        lease.release()
        self.services.registry.refresh()

    def misbehave(self, name: str, kind: str, **options: Any) -> None:
        async def act() -> None:
            self.servers[name].misbehave({"kind": kind, **options})

        self.loop.run(act())

    def mend(self, name: str) -> None:
        async def act() -> None:
            self.servers[name].mend()

        self.loop.run(act())

    def restart(self, name: str) -> None:
        """The node forgets its meetings."""
        self.loop.run(self.servers[name].node.restart())

    def let_in(self, name: str, meeting_id: str, count: int, **options: Any) -> None:
        self._control(name, "users", meetingID=meeting_id, count=count, **options)

    def stop(self, name: str) -> None:
        self.loop.run(self.servers[name].stop())

    def requests(self, name: str, call: str) -> list[Any]:
        """What arrived at a node, but for the poller's trials of digests."""
        seen = self.servers[name].node.request_log.requests(call=call)
        return [request for request in seen if "bbb-fleet-tries-a-digest" not in (request.query or "")]

    def meetings(self, name: str) -> set[str]:
        """meetingIDs that a node has and is not ending."""
        query = f"checksum={sign('getMeetings', '', NODE_SECRET)}"
        answer = requests.get(f"{self.nodes[name].url}getMeetings?{query}", timeout=10)
        return {
            meeting.findtext("meetingID", "")
            for meeting in defusedxml.ElementTree.fromstring(answer.content).iterfind("meetings/meeting")
            if meeting.findtext("hasBeenForciblyEnded") != "true"
        }

    def home(self, meeting_id: str) -> str:
        """The one node that has this meeting; what is being ended may take a moment."""
        deadline = time.monotonic() + 30
        while len(names := [name for name in self.nodes if meeting_id in self.meetings(name)]) > 1:
            assert time.monotonic() < deadline, f"{meeting_id} is on {names}"
        assert names, f"{meeting_id} is nowhere"
        return names[0]

    def _control(self, name: str, wish: str, **fields: Any) -> None:
        origin = self.nodes[name].url.removesuffix(f"{API}/")
        headers = {"Authorization": f"Bearer {NODE_SECRET}"}
        requests.post(f"{origin}/simulator/{wish}", json=fields, headers=headers, timeout=10).raise_for_status()

    # Rows.

    def rows(self, meeting_id: str) -> list[dict[str, Any]]:
        """Every row of a meetingID, oldest first."""
        with connect(self.settings.database_url) as connection:
            return connection.execute(
                "SELECT * FROM meetings WHERE meeting_id = %s ORDER BY id", [meeting_id]
            ).fetchall()

    def observed(self, name: str) -> str:
        """What a poller last wrote of a node."""
        with connect(self.settings.database_url) as connection:
            return node_rows.observations(connection)[self.nodes[name].id].state.value

    def states(self, meeting_id: str) -> list[tuple[str, str]]:
        """(node, state) of every row of a meetingID, oldest first."""
        return [(row["node_name"], row["state"]) for row in self.rows(meeting_id)]

    def causes(self, meeting_id: str) -> list[str]:
        with connect(self.settings.database_url) as connection:
            found = connection.execute(
                "SELECT e.cause FROM meeting_events AS e JOIN meetings ON meetings.id = e.meeting"
                " WHERE meeting_id = %s ORDER BY e.id",
                [meeting_id],
            )
            return [row["cause"] for row in found]

    def execute(self, statement: str, *values: Any) -> None:
        with connect(self.settings.database_url, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def add_meeting_of_another_tenant(self, meeting_id: str, node: str, state: str = "running", **columns: Any) -> None:
        """Insert the row of a meeting that has the same meetingID as one of ours."""
        with connect(self.settings.database_url, autocommit=True) as connection:
            add_meeting(connection, meeting_id, node, state, tenant_id=add_tenant(connection), **columns)

    def close(self) -> None:
        for server in self.servers.values():
            self.loop.run(server.stop())
