"""Processes of the balancer that a schedule kills: web workers that carry out orders, and pollers. One more runs an
operator's commands.

They are forked from a server that has imported everything, so that a new one starts quickly.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple
from unittest.mock import patch

import requests
from click.testing import CliRunner

from balancer import log
from balancer.cli import meeting_end
from balancer.cli.meeting import meeting
from balancer.cli.session import Session
from balancer.core.meetings import NodeCalls, Wanted
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import BalancerError
from balancer.settings import Settings
from balancer.web.app import create_app
from balancer.web.services import Services, of
from tests.integration.web.cluster import NODE_SECRET, path, read
from tests.integration.web.schedules import mistakes
from tests.poll_rounds import opened

#: The tenant that the web knows. For another one, only creates are ordered, and sent below the web.
FIRST_TENANT = 1
_CONTEXT = get_context("forkserver")
#: pytest too, because each child process imports the parent's main module again.
_CONTEXT.set_forkserver_preload(["pytest", __name__])
_PAUSE = 0.01


@dataclass(frozen=True)
class Order:
    """One action of a front end, its users or an operator."""

    number: int
    kind: str  #: create, come (a create and a user who joins), end; of an operator: end, give-up
    tenant_id: int
    meeting_id: str


@dataclass(frozen=True)
class Report:
    """What became of an order; sent when it begins and when it is done. Times are time.time()."""

    order: Order
    began: float
    done: float | None = None
    internal: str = ""  #: the meeting that was handed out


class Meant(NamedTuple):
    """A meeting that an operator's command is about to end on a node."""

    node: str
    internal: str


class Polled(NamedTuple):
    """How many of the ordered rounds a poller did: none while another one has the lease."""

    rounds: int


Work = Callable[[Connection, Settings], None]


class Worker:
    """One process and the pipe to it."""

    def __init__(self, work: Work, settings: Settings, mistake: str = "") -> None:
        self._work, self._settings, self._mistake = work, settings, mistake
        self.start()

    def start(self) -> None:
        """A new process, ready for orders once ``ready`` says so."""
        self.pipe, theirs = _CONTEXT.Pipe()
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=_run, args=(self._work, theirs, self._settings, self._mistake)
        )
        self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until it has what it needs. Raises EOFError if it failed."""
        self.pipe.recv()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Let it end by itself."""
        self.pipe.close()
        self._process.join(10)
        self.kill()


def _run(work: Work, pipe: Connection, settings: Settings, mistake: str) -> None:
    mistakes.make(mistake)
    log.configure(settings.log_level, settings.log_format)
    with contextlib.suppress(EOFError, BrokenPipeError):
        work(pipe, settings)


def web(pipe: Connection, settings: Settings) -> None:
    """Carry out orders, one list after another."""
    app = create_app(settings)
    services = of(app)
    services.open()
    services.registry.refresh()
    client = app.test_client()

    def call(name: str, /, **parameters: str) -> str:
        answer = read(client.get(path(name, **parameters)))
        assert "had an internal error" not in answer.response.text, "the log has the traceback"
        return answer.root.findtext("internalMeetingID", "") if answer.success else ""

    def carry_out(order: Order) -> str:
        if order.tenant_id != FIRST_TENANT:
            return _create(services, order)
        if order.kind == "end":
            return call("end", meetingID=order.meeting_id, order=str(order.number))
        internal = call("create", meetingID=order.meeting_id, name="A meeting")
        if internal and order.kind == "come":
            sent = client.get(path("join", meetingID=order.meeting_id, fullName="Ann", role="VIEWER"))
            if sent.status_code == 302:
                _come(sent.headers["Location"], order.meeting_id)
        return internal

    try:
        pipe.send("ready")
        while True:
            for order in pipe.recv():
                report = Report(order, time.time())
                pipe.send(report)
                internal = carry_out(order)
                pipe.send(replace(report, done=time.time(), internal=internal))
            pipe.send("idle")
    finally:
        services.close()


def _create(services: Services, order: Order) -> str:
    named = Parameters.of([("meetingID", order.meeting_id), ("name", "A meeting")])
    wanted = Wanted(tenant_id=order.tenant_id, meeting_id=order.meeting_id, parameters=named)
    try:
        answer = services.creation.create(wanted)
    except BalancerError:
        return ""
    return answer.text("internalMeetingID") if answer.success else ""


def _come(join_url: str, meeting_id: str) -> None:
    """A browser joins, if the node answers and still has the meeting."""
    origin = join_url.partition("/bigbluebutton/")[0]
    wish = {"meetingID": meeting_id, "count": 1}
    headers = {"Authorization": f"Bearer {NODE_SECRET}"}
    with contextlib.suppress(requests.ConnectionError):
        requests.post(f"{origin}/simulator/users", json=wish, headers=headers, timeout=5)


def operator(pipe: Connection, settings: Settings) -> None:
    """Carry out `balancer meeting end` and `give-up`, one list of orders after another."""
    end_at = vars(meeting_end)["end_at"]  # maybe a mistaken one

    def tell_and_end(nodes: NodeCalls, node: Node, meeting_id: str, internal_meeting_id: str) -> bool:
        pipe.send(Meant(node.name, internal_meeting_id))
        return bool(end_at(nodes, node, meeting_id, internal_meeting_id))

    tenants = ["default", "another"]
    with patch("balancer.cli.meeting_end.end_at", tell_and_end):
        pipe.send("ready")
        while True:
            for order in pipe.recv():
                report = Report(order, time.time())
                pipe.send(report)
                session = Session()
                session.settings = settings
                words = [order.kind, order.meeting_id, "--tenant", tenants[order.tenant_id - FIRST_TENANT]]
                result = CliRunner().invoke(meeting, words, obj=session)
                session.close()
                assert result.exception is None or isinstance(result.exception, BalancerError), result.exception
                pipe.send(replace(report, done=time.time()))
            pipe.send("idle")


def poller(pipe: Connection, settings: Settings) -> None:
    """Poll every node so many times as is ordered, while no other poller has the lease."""

    async def follow() -> None:
        async with opened(settings) as polling:
            pipe.send("ready")
            while True:
                done = 0
                for _ in range(await asyncio.to_thread(pipe.recv)):
                    done += await polling.run_once()
                    await asyncio.sleep(_PAUSE)
                pipe.send(Polled(done))

    asyncio.run(follow())
