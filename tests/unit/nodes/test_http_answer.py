"""An HTTP answer is read to its end; a malformed one is an error that the connection handles."""

import http.client
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.nodes import http_answer
from balancer.nodes.http_answer import AnswerTooLongError, HttpAnswer

LIMIT = 1000
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nContent-Length: 2\r\n\r\n"
    b"3;name=value\r\nhel\r\n002 \r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)


class Connection(io.RawIOBase):
    """Sends ``content``, then closes."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


def read(content: bytes) -> HttpAnswer:
    return http_answer.read(Connection(content), LIMIT)


@pytest.mark.parametrize(
    ("content", "status", "body", "reusable"),
    [
        (LENGTH, 200, b"hello", True),
        (CHUNKED, 200, b"hello", True),
        (b"HTTP/1.1 200\r\nCONTENT-LENGTH:5\r\n\r\nhello", 200, b"hello", True),
        (b"HTTP/1.1 404 Not Found\nContent-Length: 5\n\nhello", 404, b"hello", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    ],
)
def test_an_answer_is_read_to_its_end(content: bytes, status: int, body: bytes, reusable: bool) -> None:
    assert read(content) == HttpAnswer(status, body, reusable)


@pytest.mark.parametrize("interim", [b"100 Continue\r\n", b"103 Early Hints\r\nLink: </style.css>\r\n"])
def test_interim_answers_are_skipped(interim: bytes) -> None:
    assert read(2 * (b"HTTP/1.1 " + interim + b"\r\n") + CHUNKED) == HttpAnswer(200, b"hello", True)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: chunked \r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"not a header\r\nContent-Length: 5\r\n",
        b"Server : x\r\nContent-Length: 5\r\n",
    ],
)
def test_headers_that_leave_the_end_of_the_body_open_are_refused(headers: bytes) -> None:
    with pytest.raises(http.client.HTTPException, match="ambiguous"):
        read(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\nhello")


@pytest.mark.parametrize("length", [b"", b"Content-Length: ten\r\n", b"Content-Length: -1\r\n"])
def test_without_a_length_it_ends_with_the_connection(length: bytes) -> None:
    for version in (b"1.0", b"1.1"):
        answer = read(b"HTTP/" + version + b" 200 OK\r\n" + length + b"\r\nhello")
        assert (answer.body, answer.reusable) == (b"hello", False)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", http.client.RemoteDisconnected),
        (b"<html>\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/2 200\r\n\r\n", http.client.UnknownProtocol),
        (b"HTTP/1.1 20 OK\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK\r\n" + b"Name: x\r\n" * 101 + b"\r\n", http.client.HTTPException),
        (CHUNKED.replace(b"3;", b"z;"), http.client.IncompleteRead),
        (CHUNKED.replace(b"3;", b"-3;"), ValueError),
        (CHUNKED.replace(b"3;", b"2;"), http.client.IncompleteRead),
        (CHUNKED.replace(b"3;", b"ffffffffffffff;"), http.client.IncompleteRead),
        (LENGTH.replace(b"5", b"9" * 15), http.client.IncompleteRead),
    ],
)
def test_a_malformed_answer_is_an_error(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        read(content)
    assert raised.type is error


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK" + b"k" * LIMIT,
        b"HTTP/1.1 200 OK\r\nName: " + b"x" * LIMIT,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * LIMIT,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * LIMIT,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * LIMIT,
        CHUNKED.partition(b"3;")[0] + b"3e8\r\n" + b"x" * LIMIT,
        CHUNKED.partition(b"3;")[0] + b"-1\r\n" + b"x" * LIMIT,
        CHUNKED.partition(b"3;")[0] + b"5\r\nhello\r\n" * LIMIT,
    ],
)
def test_an_answer_that_exceeds_the_limit_is_an_error(content: bytes) -> None:
    with pytest.raises(AnswerTooLongError):
        read(content)


@pytest.mark.parametrize("content", [LENGTH, CHUNKED])
def test_an_answer_that_is_cut_short_anywhere_is_an_error(content: bytes) -> None:
    for size in range(len(content)):
        with pytest.raises(http.client.HTTPException):
            read(content[:size])


@given(
    st.sampled_from([LENGTH, CHUNKED]),
    st.lists(st.tuples(st.integers(0, 150), st.binary(max_size=4)), min_size=1, max_size=4),
)
def test_garbage_is_an_answer_or_an_expected_error(content: bytes, changes: list[tuple[int, bytes]]) -> None:
    for at, garbage in changes:
        content = content[:at] + garbage + content[at + len(garbage) // 2 :]
    try:
        answer = read(content)
    except (http.client.HTTPException, ValueError):
        return
    assert 200 <= answer.status <= 999
    assert len(answer.body) <= LIMIT
