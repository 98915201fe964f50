"""An HTTP answer is read to its end and no further; what is none is an error of http.client's and nothing else."""

import http.client
import io
import socket
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.nodes import http_answer

LIMIT = 1000
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nContent-Length: 2\r\n\r\n"
    b"3;name=value\r\nhel\r\n002 \r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
DELIMITED = [
    (LENGTH, 200, b"hello", True),
    (CHUNKED, 200, b"hello", True),
    (b"HTTP/1.1 200\r\nCONTENT-LENGTH:5\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 404 Not Found\nContent-Length: 5\n\nhello", 404, b"hello", True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH, 200, b"hello", True),
    (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
]


class Given:
    """A connection that has sent all it will."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


@pytest.mark.parametrize(("content", "status", "body", "reusable"), DELIMITED)
def test_an_answer_is_read_to_its_end_and_no_further(content: bytes, status: int, body: bytes, reusable: bool) -> None:
    stream = io.BytesIO(content + NEXT)
    assert http_answer.read(stream, LIMIT) == http_answer.HttpAnswer(status, body, reusable)
    assert stream.read() == NEXT


@pytest.mark.parametrize("content", [each[0] for each in DELIMITED])
def test_it_is_read_as_http_client_reads_it(content: bytes) -> None:
    theirs = http.client.HTTPResponse(cast(socket.socket, Given(content + NEXT)))
    theirs.begin()
    ours = http_answer.read(io.BytesIO(content + NEXT), LIMIT)
    assert (ours.status, ours.body, ours.reusable) == (theirs.status, theirs.read(), not theirs.will_close)


def test_an_answer_that_is_none_yet_is_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    assert http_answer.read(io.BytesIO(early + LENGTH), LIMIT).body == b"hello"


@pytest.mark.parametrize(
    "length",
    [b"", b"Content-Length: ten\r\n", b"Content-Length: -1\r\n", b"Content-Length: 3\r\nContent-Length: 5\r\n"],
)
def test_without_one_length_it_ends_with_the_connection(length: bytes) -> None:
    answer = http_answer.read(io.BytesIO(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nhello"), LIMIT)
    assert (answer.body, answer.reusable) == (b"hello", False)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", http.client.RemoteDisconnected),
        (b"<html>\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/2 200\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 20 OK\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK" + b"k" * 70_000 + b"\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK\r\nName: " + b"x" * 70_000 + b"\r\n\r\n", http.client.LineTooLong),
        (b"HTTP/1.1 200 OK\r\n" + b"Name: x\r\n" * 101 + b"\r\n", http.client.HTTPException),
        (CHUNKED.replace(b"3;", b"z;"), http.client.HTTPException),
        (CHUNKED.replace(b"3;", b"-3;"), http.client.HTTPException),
        (CHUNKED.replace(b"3;", b"2;"), http.client.HTTPException),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", http_answer.TooLongError),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, http_answer.TooLongError),
        (CHUNKED.partition(b"3;")[0] + b"3e0\r\n" + b"x" * 992 + b"\r\n9\r\n", http_answer.TooLongError),
    ],
)
def test_what_is_no_answer_is_an_error(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        http_answer.read(io.BytesIO(content), LIMIT)
    assert raised.type is error


@pytest.mark.parametrize("content", [LENGTH, CHUNKED])
def test_an_answer_that_is_cut_off_anywhere_is_an_error(content: bytes) -> None:
    for size in range(len(content)):
        with pytest.raises(http.client.HTTPException):
            http_answer.read(io.BytesIO(content[:size]), LIMIT)


@given(
    st.sampled_from([LENGTH, CHUNKED]),
    st.lists(st.tuples(st.integers(0, 150), st.binary(max_size=4)), min_size=1, max_size=4),
)
def test_garbage_is_an_answer_or_an_error_of_http(content: bytes, changes: list[tuple[int, bytes]]) -> None:
    for at, garbage in changes:
        content = content[:at] + garbage + content[at + len(garbage) // 2 :]
    try:
        answer = http_answer.read(io.BytesIO(content), LIMIT)
    except http.client.HTTPException:
        return
    assert 200 <= answer.status <= 999
    assert len(answer.body) <= LIMIT
