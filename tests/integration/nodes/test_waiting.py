"""How long a call waits for a node, which calls share an answer, and which are not sent."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from balancer.core.parameters import Parameters
from balancer.errors import NodeTimeoutError, NodeUnreachableError
from balancer.nodes import shared_answers
from balancer.nodes.client import NodeClient
from balancer.nodes.waiting_limits import FAILURES, PAUSE, NodeLimits
from tests.eventually import until
from tests.integration.nodes.client import call, make, node
from tests.integration.nodes.scripted_node import Peer, Script, answer, send

T = TypeVar("T")


def byte_by_byte(connection: socket.socket, request: bytes) -> None:
    for byte in answer():
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def never(connection: socket.socket, request: bytes) -> None:
    time.sleep(3)


@pytest.mark.parametrize("script", [never, byte_by_byte])
def test_the_deadline_holds_for_the_whole_answer(client: NodeClient, peer: Peer, script: Script) -> None:
    peer.script = script
    before = time.monotonic()
    with pytest.raises(NodeTimeoutError, match="within 1 s"):
        call(client, peer.port)
    # Byte by byte the whole answer takes more than 9 s.
    assert 0.9 < time.monotonic() - before < 6
    # The late answer is never taken for that of the next call.
    peer.script = send(answer(b"<response><returncode>SUCCESS</returncode><own>yes</own></response>"))
    assert client.call(node(peer.port), "getMeetingInfo", Parameters()).text("own") == "yes"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts no connection, because its queue is full."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            queued = waiting.enter_context(socket.socket())
            queued.setblocking(False)
            with suppress(BlockingIOError):
                queued.connect(listener.getsockname())
        yield listener.getsockname()[1]


def resolves(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name resolve to these ports of 127.0.0.1."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_all_addresses_of_a_node_share_the_time_to_connect(
    client: NodeClient, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, silent, silent, silent)
    before = time.monotonic()
    with pytest.raises(NodeUnreachableError) as raised:
        call(client, silent)
    assert raised.value.reason == "connect"
    assert 0.9 < time.monotonic() - before < 1.8


def test_after_an_address_that_is_silent_the_next_one_is_tried(
    client: NodeClient, peer: Peer, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, silent, peer.port)
    call(client, peer.port)


def test_a_name_server_that_is_silent_holds_a_call_no_longer_than_a_node(
    client: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()

    def ask(*_: object, flags: int = 0, **__: object) -> list[object]:
        if not flags & socket.AI_NUMERICHOST:
            given_up.wait(20)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    try:
        with pytest.raises(NodeUnreachableError, match="no name server answered in time") as raised:
            client.call(node(1, host="bbb1.test"), "getMeetingInfo", Parameters.parse(b"meetingID=x"))
    finally:
        given_up.set()
    assert raised.value.reason == "dns"


def test_a_node_that_hangs_gets_no_further_call_and_holds_no_further_thread(tmp_path: Path, peer: Peer) -> None:
    client = make(tmp_path, limits=NodeLimits(2, waiting=0.0), node_read_timeout=30.0)
    release = threading.Event()
    peer.script = held(release)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(call, client, peer.port) for _ in range(2)]
        until(lambda: len(peer.requests) == 2)
        with pytest.raises(NodeUnreachableError, match="2 calls already wait"):
            call(client, peer.port)
        assert not any(each.done() for each in waiting)
        release.set()
        for each in waiting:
            each.result(10)
    client.close()
    assert len(peer.requests) == 2


def held(release: threading.Event) -> Script:
    """Answers once ``release`` is set."""

    def script(connection: socket.socket, request: bytes) -> None:
        assert release.wait(20)
        connection.sendall(answer())

    return script


def ask(client: NodeClient, port: int, row: int = 1, query: bytes = b"meetingID=x") -> None:
    assert client.ask(node(port), "getMeetingInfo", Parameters.parse(query), row=row).success


def test_equal_read_only_calls_in_flight_are_sent_once_for_each_meeting(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(tmp_path, node_info_timeout=30.0)
    release = threading.Event()
    peer.script = held(release)
    sharing: list[object] = []

    class Noted(Future[T]):
        def result(self, timeout: float | None = None) -> T:
            sharing.append(self)
            return super().result(timeout)

    monkeypatch.setattr(shared_answers, "Future", Noted)
    with ThreadPoolExecutor(12) as pool:
        wanted = [(1, b"meetingID=x"), (2, b"meetingID=x"), (1, b"meetingID=y")]
        asked = [pool.submit(ask, client, peer.port, *one) for one in wanted for _ in range(4)]
        until(lambda: len(sharing) == len(asked) - len(wanted))
        release.set()
        for one in asked:
            one.result(10)
    assert len(peer.requests) == len(wanted)
    ask(client, peer.port)
    assert len(peer.requests) == len(wanted) + 1
    client.close()


def test_a_shared_call_without_an_answer_counts_once_against_the_node(client: NodeClient, peer: Peer) -> None:
    peer.script = lambda connection, request: None
    with ThreadPoolExecutor(2 * FAILURES) as pool:
        asked = [pool.submit(ask, client, peer.port) for _ in range(2 * FAILURES)]
        for one in asked:
            with pytest.raises(NodeTimeoutError):
                one.result(5)
    assert len(peer.requests) == 1
    peer.script = send(answer())
    ask(client, peer.port)


def test_a_node_that_hangs_soon_gets_no_calls_and_is_tried_again_later(tmp_path: Path, peer: Peer) -> None:
    now = 0.0
    client = make(tmp_path, limits=NodeLimits(8, lambda: now))
    peer.script = never
    for _ in range(FAILURES):
        with pytest.raises(NodeTimeoutError):
            ask(client, peer.port)
    with pytest.raises(NodeUnreachableError, match="without an answer"):
        ask(client, peer.port)
    assert len(peer.requests) == FAILURES
    peer.script = send(answer())
    now = PAUSE
    ask(client, peer.port)
    client.close()
