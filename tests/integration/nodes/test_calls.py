"""Calls to a node as they go out on the wire, and every way in which they fail."""

import io
import socket
import threading
from pathlib import Path

import pytest

from balancer.core.meetings import Upload
from balancer.core.node_call import ANSWER_LIMIT_BYTES
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeUnreachableError
from balancer.nodes.client import NodeClient
from tests.integration.nodes.client import call, make, node
from tests.integration.nodes.scripted_node import SUCCESS, Peer, answer, send


def test_the_query_goes_out_byte_for_byte(client: NodeClient, peer: Peer) -> None:
    query = b"b=%c3%A9+%20&a=*'()!~&x[y]=:/?@$,;&%7e=%41&e=&e"
    call(client, peer.port, query)
    target = peer.requests[0].split(b" ")[1]
    assert target.startswith(b"/bigbluebutton/api/getMeetingInfo?" + query + b"&checksum=")


def test_characters_that_a_url_cannot_carry_are_encoded(client: NodeClient, peer: Peer) -> None:
    call(client, peer.port, b'a=|{}^`"<>\\&b=%7c')
    target = peer.requests[0].split(b" ")[1]
    assert target.startswith(b"/bigbluebutton/api/getMeetingInfo?a=%7C%7B%7D%5E%60%22%3C%3E%5C&b=%7c&checksum=")


def test_a_call_names_the_host_and_asks_for_no_compression(client: NodeClient, peer: Peer) -> None:
    call(client, peer.port)
    head = peer.requests[0].split(b"\r\n")
    assert head[0].endswith(b" HTTP/1.1")
    assert {b"Host: 127.0.0.1:%d" % peer.port, b"Accept-Encoding: identity"} < set(head)


def test_a_connection_is_used_again(client: NodeClient, peer: Peer) -> None:
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


def test_a_connection_idle_for_too_long_is_not_used_again(tmp_path: Path, peer: Peer) -> None:
    client = make(tmp_path, idle=0.0)
    call(client, peer.port)
    call(client, peer.port)
    client.close()
    assert peer.connections == 2


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Content-Encoding: identity\r\nConnection: close\r\n"])
def test_a_connection_that_the_node_announces_to_close_is_not_used_again(
    client: NodeClient, peer: Peer, head: bytes
) -> None:
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
def test_an_answer_that_is_not_bbb_s_is_an_error(client: NodeClient, peer: Peer, content: bytes, message: str) -> None:
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


def test_a_wrong_secret_has_its_own_reason(client: NodeClient, peer: Peer) -> None:
    peer.script = send(
        answer(b"<response><returncode>FAILED</returncode><messageKey>checksumError</messageKey></response>")
    )
    with pytest.raises(NodeError) as raised:
        call(client, peer.port)
    assert raised.value.reason == "checksum"


def test_an_answer_that_is_cut_short_is_an_error(client: NodeClient, peer: Peer) -> None:
    def cut(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer()[:-5])
        connection.shutdown(socket.SHUT_RDWR)

    peer.script = cut
    with pytest.raises(NodeError, match="IncompleteRead"):
        call(client, peer.port)


def test_an_answer_that_is_too_long_is_not_read_to_its_end(client: NodeClient, peer: Peer) -> None:
    peer.script = send(answer(b"x" * ANSWER_LIMIT_BYTES))
    with pytest.raises(NodeError, match=f"longer than {ANSWER_LIMIT_BYTES}"):
        client.create(node(peer.port), Parameters.parse(b"meetingID=x"), None)


def test_an_answer_after_an_interim_one_is_read(client: NodeClient, peer: Peer) -> None:
    peer.script = send(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + answer())
    call(client, peer.port)
    call(client, peer.port)
    assert peer.connections == 1


def test_a_chunk_of_negative_size_is_an_error(client: NodeClient, peer: Peer) -> None:
    peer.script = send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n")
    with pytest.raises(NodeError, match="ValueError") as raised:
        call(client, peer.port)
    assert raised.value.reason == "connect"


def test_a_call_is_sent_once(client: NodeClient, peer: Peer) -> None:
    def reset(connection: socket.socket, request: bytes) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    call(client, peer.port)
    peer.script = reset
    with pytest.raises(NodeError) as raised:
        call(client, peer.port)
    assert not isinstance(raised.value, NodeUnreachableError)
    assert len(peer.requests) == 2


def test_if_nothing_listens_the_call_had_no_effect(client: NodeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NodeUnreachableError) as raised:
        call(client, port)
    assert raised.value.reason == "connect"


def test_if_the_name_does_not_resolve_the_call_had_no_effect(client: NodeClient) -> None:
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(80, host="no-such-node.invalid"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "dns"


def test_a_proxy_of_the_environment_is_not_used(
    client: NodeClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    call(client, peer.port)


def test_a_long_create_is_sent_as_a_form(client: NodeClient, peer: Peer) -> None:
    parameters = Parameters.of([("meetingID", "x"), ("welcome", "w" * 7000)])
    client.create(node(peer.port), parameters, None)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /bigbluebutton/api/create?checksum=")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == parameters.encode()


def test_each_call_sends_the_whole_body(client: NodeClient, peer: Peer) -> None:
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
