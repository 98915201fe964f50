"""Simulated nodes for a test of the poller, registered in a real PostgreSQL."""

import hashlib
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import aiohttp
import defusedxml.ElementTree

from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.storage.postgresql import nodes as node_rows
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.snapshots import Snapshots
from lab.simulator.misbehaviour import Fault
from lab.simulator.node import Node as SimulatedNode
from lab.simulator.server import NodeServer
from lab.simulator.settings import NodeSettings

SECRET = "a-secret-of-the-simulated-node"


@dataclass
class Created:
    """A meeting on a simulated node."""

    meeting_id: str
    internal: str
    create_time: int


class Fleet:
    """Simulated nodes of this test, by name."""

    def __init__(
        self, rows: Connection, client: redis_client.Redis, session: aiohttp.ClientSession, root: Path
    ) -> None:
        self.rows = rows
        self.client = client
        self.session = session
        self.root = root
        self.servers: dict[str, NodeServer] = {}
        self.nodes: dict[str, Node] = {}

    async def add(self, *names: str, **options: Any) -> None:
        for name in names:
            port = await self.start(name, **options)
            self.register(name, f"http://127.0.0.1:{port}/bigbluebutton/api/")

    async def start(self, name: str, *, tls: ssl.SSLContext | None = None, **options: Any) -> int:
        """Start a node that is not registered; its port."""
        simulated = SimulatedNode(
            NodeSettings(server_url="https://node.example.org", secret=SECRET, root=self.root / name, **options)
        )
        self.servers[name] = NodeServer(simulated, "127.0.0.1", 0, tls)
        await self.servers[name].start()
        return self.servers[name].port

    def register(self, name: str, url: str, secret: str = SECRET) -> None:
        declared = node_rows.Declaration(name=name, url=url, secret=secret)
        self.nodes[name] = node_rows.add(self.rows, declared, AdminState.ENABLED)

    def misbehave(self, name: str, kind: str, **options: Any) -> Fault:
        return self.servers[name].misbehave({"kind": kind, **options})

    def mend(self, name: str) -> None:
        self.servers[name].mend()

    async def call(self, name: str, call: str, /, **parameters: str) -> Element:
        """A signed call to a node, with a signature of our own making."""
        query = urlencode(parameters)
        checksum = hashlib.sha256(f"{call}{query}{SECRET}".encode()).hexdigest()
        url = f"{self.nodes[name].url}{call}?{query}{'&' if query else ''}checksum={checksum}"
        async with self.session.get(url) as response:
            answer: Element = defusedxml.ElementTree.fromstring(await response.read())
            return answer

    async def create(self, name: str, meeting_id: str) -> Created:
        answer = await self.call(name, "create", meetingID=meeting_id, name="A meeting")
        assert answer.findtext("returncode") == "SUCCESS"
        internal, create_time = answer.findtext("internalMeetingID"), answer.findtext("createTime")
        assert internal
        assert create_time
        return Created(meeting_id, internal, int(create_time))

    async def users(self, name: str, meeting_id: str, count: int) -> None:
        await self._crowd("POST", name, meeting_id, count)

    async def leave(self, name: str, meeting_id: str, count: int) -> None:
        await self._crowd("DELETE", name, meeting_id, count)

    async def _crowd(self, method: str, name: str, meeting_id: str, count: int) -> None:
        origin = self.nodes[name].url.removesuffix("/bigbluebutton/api/")
        async with self.session.request(
            method,
            f"{origin}/simulator/users",
            json={"meetingID": meeting_id, "count": count},
            headers={"Authorization": f"Bearer {SECRET}"},
        ) as response:
            assert response.status == 200, await response.text()

    async def meetings(self, name: str) -> set[str]:
        """meetingIDs that the node still has and is not ending."""
        answer = await self.call(name, "getMeetings")
        return {
            meeting.findtext("meetingID", "")
            for meeting in answer.iterfind("meetings/meeting")
            if meeting.findtext("hasBeenForciblyEnded") != "true"
        }

    async def is_empty(self, name: str) -> bool:
        return not await self.meetings(name)

    def requests(self, name: str, call: str) -> list[Any]:
        return [seen for seen in self.servers[name].node.request_log.requests(call=call)]

    def place(
        self, name: str, meeting_id: str, created: Created | None = None, *, state: str = "running", ago: float = 60
    ) -> int:
        """A row as a request leaves it behind, ``ago`` seconds ago."""
        moment = timedelta(seconds=ago)
        internal = created.internal if created and state == "running" else None
        row = self.rows.execute(
            """
            INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,
                expected_users, placed_at, created_at, finished_at)
            VALUES (1, %s, %s, %s, %s, %s, %s, 10, clock_timestamp() - %s,
                CASE WHEN %s THEN clock_timestamp() - %s END, CASE WHEN %s THEN clock_timestamp() - %s END)
            RETURNING id
            """,
            [
                meeting_id,
                self.nodes[name].id,
                name,
                state,
                internal,
                created.create_time if internal and created else None,
                moment,
                state == "running",
                moment,
                state in ("ended", "lost"),
                moment / 2,
            ],
        ).fetchone()
        assert row
        return int(row["id"])

    def row(self, number: int) -> dict[str, Any]:
        found = self.rows.execute("SELECT * FROM meetings WHERE id = %s", [number]).fetchone()
        assert found
        return found

    def states(self, *numbers: int) -> list[str]:
        return [self.row(number)["state"] for number in numbers]

    def causes(self, number: int) -> list[str]:
        events = self.rows.execute(
            "SELECT cause FROM meeting_events WHERE meeting = %s AND cause <> 'placed' ORDER BY id", [number]
        )
        return [event["cause"] for event in events]

    def observed(self) -> dict[str, tuple[ObservedState, str]]:
        """State and reason as stored, by node name."""
        seen = node_rows.observations(self.rows)
        return {
            name: (seen[node.id].state, seen[node.id].reason) for name, node in self.nodes.items() if node.id in seen
        }

    def digests(self) -> dict[str, tuple[str, ...]]:
        """Digests as stored, by node name."""
        seen = node_rows.observations(self.rows)
        return {name: seen[node.id].digests for name, node in self.nodes.items()}

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.client)
