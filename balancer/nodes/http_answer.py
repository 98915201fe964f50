"""Reads an HTTP answer to a GET or POST with http.client, and bounds its size."""

import http.client
import io
import socket
from typing import Any, NamedTuple, cast


class AnswerTooLongError(http.client.HTTPException):
    """The answer exceeds the limit."""


class HttpAnswer(NamedTuple):
    status: int
    body: bytes
    reusable: bool  #: whether the connection can take another request


def read(source: io.RawIOBase, limit: int) -> HttpAnswer:
    """The next answer from a connection; limit: bytes of its head and body together.

    Raises HTTPException or ValueError if it is malformed, ends too soon or is too long, and whatever ``source`` raises.
    """
    stream = _AnswerStream(source, limit)
    response = http.client.HTTPResponse(cast(socket.socket, stream))
    try:
        response.begin()
        while response.status < 200:
            # begin() itself skips status 100 alone; with headers set to None it reads another head.
            response.headers = None  # type: ignore[assignment]
            response.begin()
        _check_framing(response.headers)
        # http.client takes a head, a body or a trailer that the connection's end cut short for a whole one.
        cut = stream.ended
        delimited = response.chunked or response.length is not None
        # Never without a size: a chunk may claim any, and memory for all of it is reserved first.
        body = response.read(limit)
        if cut or (delimited and stream.ended):
            raise http.client.IncompleteRead(body)
        return HttpAnswer(response.status, body, not response.will_close)
    finally:
        response.close()


def _check_framing(headers: http.client.HTTPMessage) -> None:
    """Raises HTTPException if another reader could find another end of the body than http.client does."""
    lengths, encodings = headers.get_all("Content-Length", []), headers.get_all("Transfer-Encoding", [])
    if headers.defects or len(lengths) > 1 or [each.lower() for each in encodings] not in ([], ["chunked"]):
        raise http.client.HTTPException("ambiguous headers")


class _AnswerStream(io.RawIOBase):
    """Stands in for the socket that http.client reads from. Closing it leaves the connection open."""

    def __init__(self, source: io.RawIOBase, limit: int) -> None:
        self._source = source
        self._left = limit
        self.ended = False  #: whether the connection ended while it was read

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = self._source.readinto(buffer)
        self.ended = size == 0
        self._left -= size or 0
        if self._left < 0:
            raise AnswerTooLongError
        return size
