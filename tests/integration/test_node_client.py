"""Calls to a node as they leave on the wire, and every way in which none can be had."""

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from balancer import node_client, node_connection, patience, shared_answers
from balancer.core import circuit
from balancer.core.meetings import Upload
from balancer.core.nodes import AdminState, Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.node_client import NodeClient
from balancer.settings import Settings
from tests.integration.peer import SUCCESS, Peer, Script, answer, send

T = TypeVar("T")


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def make(tmp_path: Path, **given: object) -> NodeClient:
    values: dict[str, object] = {
        "database_url": "x",
        "redis_url": "x",
        "secrets": ("x" * 16,),
        "public_url": "https://bbb.example.org",
        "state_directory": tmp_path,
        "node_connect_timeout": 1.0,
        "node_read_timeout": 1.0,
        "node_info_timeout": 1.0,
        "create_timeout": 1.5,
    }
    return NodeClient(Settings(**{**values, **given}))  # type: ignore[arg-type]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[NodeClient]:
    client = make(tmp_path)
    yield client
    client.close()


def node(port: int, scheme: str = "http", host: str = "127.0.0.1") -> Node:
    return Node(
        id=1,
        name="bbb1",
        url=f"{scheme}://{host}:{port}/bigbluebutton/api/",
        secret="secret-of-the-node",
        admin_state=AdminState.ENABLED,
    )


def call(client: NodeClient, port: int, query: bytes = b"meetingID=x") -> None:
    assert client.call(node(port), "getMeetingInfo", Parameters.parse(query)).success


def test_the_query_goes_out_byte_for_byte(client: NodeClient, peer: Peer) -> None:
    query = b"b=%c3%A9+%20&a=*'()!~&x[y]=:/?@$,;&%7e=%41&e=&e"
    call(client, peer.port, query)
    target = peer.requests[0].split(b" ")[1]
    assert target.startswith(b"/bigbluebutton/api/getMeetingInfo?" + query + b"&checksum=")


def test_what_no_url_can_carry_goes_out_encoded(client: NodeClient, peer: Peer) -> None:
    call(client, peer.port, b'a=|{}^`"<>\\&b=%7c')
    target = peer.requests[0].split(b" ")[1]
    assert target.startswith(b"/bigbluebutton/api/getMeetingInfo?a=%7C%7B%7D%5E%60%22%3C%3E%5C&b=%7c&checksum=")


def test_a_call_names_the_host_and_wants_the_answer_as_it_is(client: NodeClient, peer: Peer) -> None:
    call(client, peer.port)
    head = peer.requests[0].split(b"\r\n")
    assert head[0].endswith(b" HTTP/1.1")
    assert {b"Host: 127.0.0.1:%d" % peer.port, b"Accept-Encoding: identity"} < set(head)


def test_connections_are_kept_and_used_again(client: NodeClient, peer: Peer) -> None:
    for _ in range(5):
        call(client, peer.port)
    assert (peer.connections, len(peer.requests)) == (1, 5)


def test_a_connection_that_the_node_closed_is_not_used_again(client: NodeClient, peer: Peer) -> None:
    closed = threading.Semaphore(0)

    def once(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer())
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    peer.script = once
    for _ in range(3):
        call(client, peer.port)
        assert closed.acquire(timeout=10)
    assert peer.connections == 3


def test_a_connection_idle_for_too_long_is_not_used_again(
    client: NodeClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(client, peer.port)
    monkeypatch.setattr(node_client, "IDLE", 0.0)
    call(client, peer.port)
    assert peer.connections == 2


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Content-Encoding: identity\r\nConnection: close\r\n"])
def test_a_connection_that_is_to_be_closed_is_closed(client: NodeClient, peer: Peer, head: bytes) -> None:
    peer.script = send(answer(head=head))
    call(client, peer.port)
    call(client, peer.port)
    assert peer.connections == 2


def test_a_chunked_answer_is_read(client: NodeClient, peer: Peer) -> None:
    peer.script = send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SUCCESS), SUCCESS)
    )
    call(client, peer.port)
    call(client, peer.port)
    assert peer.connections == 1


def test_threads_have_connections_of_their_own(client: NodeClient, peer: Peer) -> None:
    threads = [threading.Thread(target=call, args=(client, peer.port)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peer.requests) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOops", "HTTP 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (answer(b"<html>nginx</html>"), "returncode"),
        (answer(SUCCESS[:20]), "not XML"),
        (answer(b"<!DOCTYPE a [<!ENTITY b 'c'>]><response>&b;</response>"), "not XML"),
        (answer(b""), "not XML"),
        (b"nonsense\r\n\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n" + SUCCESS, ""),
        (
            answer(b"<response><returncode>FAILED</returncode><messageKey>checksumError</messageKey></response>"),
            "checksumError",
        ),
    ],
)
def test_what_is_no_answer_of_bbb_is_an_error(client: NodeClient, peer: Peer, content: bytes, message: str) -> None:
    def last(connection: socket.socket, request: bytes) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    peer.script = last
    if not message:
        call(client, peer.port)
        return
    with pytest.raises(NodeError, match=message) as raised:
        call(client, peer.port)
    assert not isinstance(raised.value, NodeUnreachableError)


def test_a_wrong_secret_is_told_apart(client: NodeClient, peer: Peer) -> None:
    peer.script = send(
        answer(b"<response><returncode>FAILED</returncode><messageKey>checksumError</messageKey></response>")
    )
    with pytest.raises(NodeError) as raised:
        call(client, peer.port)
    assert raised.value.reason == "checksum"


def test_an_answer_that_ends_too_soon_is_an_error(client: NodeClient, peer: Peer) -> None:
    def cut(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer()[:-5])
        connection.shutdown(socket.SHUT_RDWR)

    peer.script = cut
    with pytest.raises(NodeError, match="IncompleteRead"):
        call(client, peer.port)


def test_an_endless_answer_is_not_read_to_its_end(
    client: NodeClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_connection, "ANSWER_LIMIT", 1000)
    peer.script = send(answer(b"x" * 2000))
    with pytest.raises(NodeError, match="longer than 1000"):
        call(client, peer.port)


def drop_by_drop(connection: socket.socket, request: bytes) -> None:
    for byte in answer():
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def never(connection: socket.socket, request: bytes) -> None:
    time.sleep(3)


@pytest.mark.parametrize("script", [never, drop_by_drop])
def test_the_deadline_holds_for_the_whole_answer(client: NodeClient, peer: Peer, script: Script) -> None:
    peer.script = script
    before = time.monotonic()
    with pytest.raises(NodeTimeoutError, match="within 1 s"):
        call(client, peer.port)
    # Drop by drop the whole answer takes more than 9 s.
    assert 0.9 < time.monotonic() - before < 6
    # The late answer is never taken for the next call's.
    peer.script = send(answer(b"<response><returncode>SUCCESS</returncode><own>yes</own></response>"))
    assert client.call(node(peer.port), "getMeetingInfo", Parameters()).text("own") == "yes"


def test_a_node_that_hangs_gets_no_further_call_and_holds_no_further_thread(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "WAITING", 0.0)
    client = make(tmp_path, web_threads=8, node_read_timeout=30.0)
    release = threading.Event()
    peer.script = held(release)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(call, client, peer.port) for _ in range(2)]
        until(lambda: len(peer.requests) == 2)
        with pytest.raises(NodeUnreachableError, match="2 calls wait"):
            call(client, peer.port)
        assert not any(each.done() for each in waiting)
        release.set()
        for each in waiting:
            each.result(10)
    client.close()
    assert len(peer.requests) == 2


def held(release: threading.Event) -> Script:
    """Answers once it is let."""

    def script(connection: socket.socket, request: bytes) -> None:
        assert release.wait(20)
        connection.sendall(answer())

    return script


def ask(client: NodeClient, port: int, row: int = 1, query: bytes = b"meetingID=x") -> None:
    assert client.ask(node(port), "getMeetingInfo", Parameters.parse(query), row=row).success


def test_equal_questions_in_flight_are_put_once_for_each_meeting(
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


def test_a_shared_question_without_an_answer_counts_once_against_the_node(client: NodeClient, peer: Peer) -> None:
    peer.script = lambda connection, request: None
    with ThreadPoolExecutor(2 * circuit.FAILURES) as pool:
        asked = [pool.submit(ask, client, peer.port) for _ in range(2 * circuit.FAILURES)]
        for one in asked:
            with pytest.raises(NodeTimeoutError):
                one.result(5)
    assert len(peer.requests) == 1
    peer.script = send(answer())
    ask(client, peer.port)


def test_a_node_that_hangs_is_soon_refused_at_once_and_asked_again_later(
    client: NodeClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "REST", 60.0)
    peer.script = never
    for _ in range(circuit.FAILURES):
        with pytest.raises(NodeTimeoutError):
            ask(client, peer.port)
    with pytest.raises(NodeUnreachableError, match="without an answer"):
        ask(client, peer.port)
    assert len(peer.requests) == circuit.FAILURES
    peer.script = send(answer())
    monkeypatch.setattr(client._patience, "_clock", lambda: time.monotonic() + circuit.REST)
    ask(client, peer.port)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_call_is_sent_once(client: NodeClient, peer: Peer) -> None:
    def reset(connection: socket.socket, request: bytes) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    call(client, peer.port)
    peer.script = reset
    with pytest.raises(NodeError) as raised:
        call(client, peer.port)
    assert not isinstance(raised.value, NodeUnreachableError)
    assert len(peer.requests) == 2


def test_where_nobody_listens_the_call_had_no_effect(client: NodeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NodeUnreachableError) as raised:
        call(client, port)
    assert raised.value.reason == "connect"


def test_a_name_that_nobody_knows_had_no_effect(client: NodeClient) -> None:
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(80, host="no-such-node.invalid"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "dns"


def test_a_proxy_of_the_environment_is_not_asked(
    client: NodeClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    call(client, peer.port)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 signed by itself, and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "node.pem", tmp_path / "node.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def secure_peer(certificate: tuple[Path, Path]) -> Iterator[Peer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    peer = Peer(tls=tls)
    yield peer
    peer.close()


def test_a_certificate_of_the_given_ca_is_trusted(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0])
    for _ in range(2):
        assert client.call(node(secure_peer.port, "https"), "getMeetingInfo", Parameters()).success
    assert secure_peer.connections == 1
    client.close()


def test_tls_carries_more_than_any_buffer_holds(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0], create_timeout=30.0)
    content = b"<modules>" + b"x" * 20_000_000 + b"</modules>"
    told = b"<response><returncode>SUCCESS</returncode><more>" + b"y" * 5_000_000 + b"</more></response>"
    secure_peer.script = send(answer(told))
    upload = Upload(lambda: io.BytesIO(content), len(content))
    found = client.create(node(secure_peer.port, "https"), Parameters.parse(b"meetingID=x"), upload)
    assert found.body == told
    assert secure_peer.requests[0].partition(b"\r\n\r\n")[2] == content
    client.close()


def test_any_other_certificate_is_refused_before_anything_is_said(client: NodeClient, secure_peer: Peer) -> None:
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(secure_peer.port, "https"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "tls"
    assert not secure_peer.requests


def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0])
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(secure_peer.port, "https", "localhost"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "tls"


def test_a_long_create_is_sent_as_a_form(client: NodeClient, peer: Peer) -> None:
    parameters = Parameters.of([("meetingID", "x"), ("welcome", "w" * 7000)])
    client.create(node(peer.port), parameters, None)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /bigbluebutton/api/create?checksum=")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == parameters.encode()


def test_a_body_is_sent_whole_each_time(client: NodeClient, peer: Peer) -> None:
    content = b"<modules>" + b"x" * 300_000 + b"</modules>"
    file = io.BytesIO(content)

    def rewound() -> io.BytesIO:
        file.seek(0)
        return file

    upload = Upload(rewound, len(content))
    for _ in range(2):
        client.create(node(peer.port), Parameters.parse(b"meetingID=x"), upload)
    assert [request.partition(b"\r\n\r\n")[2] for request in peer.requests] == [content, content]
    assert b"Content-Type: application/xml\r\n" in peer.requests[0] + b"\r\n"
