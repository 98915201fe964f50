"""An HTTP/1.1 answer, read from a connection exactly to its end (RFC 9112, sections 4 to 7 and 9.3).

http.client reads a head with the parser of e-mails, which costs more than all the rest of a small answer. Errors are
its own.
"""

import re
from collections.abc import Mapping
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from typing import IO, NamedTuple

#: Bytes of a line, and lines of a head.
_LINE, _LINES = 65_536, 100
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?\r?\n", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?\r?\n", re.DOTALL)
_BLANK = (b"\r\n", b"\n")
_WITHOUT_BODY = (204, 304)


class TooLongError(HTTPException):
    """There is more of it than anybody wants to keep."""


class HttpAnswer(NamedTuple):
    status: int
    body: bytes
    reusable: bool  #: whether the connection can take another request


def read(stream: IO[bytes], limit: int) -> HttpAnswer:
    """The answer to a GET or POST; limit: bytes of its body.

    Raises HTTPException where it is none, ends too soon or is too long, and whatever the stream raises.
    """
    while True:
        version, status = _status(stream)
        fields = _fields(stream)
        if status >= 200:  # what comes before is no answer yet
            break
    body, delimited = (b"", True) if status in _WITHOUT_BODY else _body(stream, fields, limit)
    return HttpAnswer(status, body, delimited and _persistent(version, fields))


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline(_LINE + 1)
    if len(line) > _LINE:
        raise LineTooLong("line")
    if not line.endswith(b"\n"):
        raise IncompleteRead(line)
    return line


def _status(stream: IO[bytes]) -> tuple[bytes, int]:
    """The minor version of HTTP 1, and the status."""
    line = stream.readline(_LINE)
    if not line:
        raise RemoteDisconnected("closed without an answer")
    found = _STATUS.fullmatch(line)
    if not found:
        raise BadStatusLine(repr(line))
    return found[1], int(found[2])


def _fields(stream: IO[bytes]) -> dict[bytes, bytes]:
    """Values by name in lower case; of a name that stands there twice all, so that two lengths are none."""
    fields: dict[bytes, bytes] = {}
    for _ in range(_LINES):
        line = _line(stream)
        if line in _BLANK:
            return fields
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip()
        fields[name] = fields[name] + b", " + value if name in fields else value
    raise HTTPException(f"more than {_LINES} lines of head")


def _body(stream: IO[bytes], fields: Mapping[bytes, bytes], limit: int) -> tuple[bytes, bool]:
    """The body, and whether anything but the end of the connection told where it ends."""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _chunks(stream, limit), True
    length = fields.get(b"content-length", b"")
    if _LENGTH.fullmatch(length):
        return _exactly(stream, int(length), limit), True
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLongError
    return content, False


def _exactly(stream: IO[bytes], size: int, limit: int) -> bytes:
    if size > limit:
        raise TooLongError
    content = stream.read(size)
    if len(content) < size:
        raise IncompleteRead(content, size - len(content))
    return content


def _chunks(stream: IO[bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    while size := _chunk_size(_line(stream)):
        parts.append(_exactly(stream, size, left))
        left -= size
        if _line(stream) not in _BLANK:
            raise HTTPException("a chunk is longer than it says")
    _fields(stream)  # of the trailer, that says nothing to us
    return b"".join(parts)


def _chunk_size(line: bytes) -> int:
    found = _CHUNK.fullmatch(line)
    if not found:
        raise HTTPException("a chunk without a size")
    return int(found[1], 16)


def _persistent(version: bytes, fields: Mapping[bytes, bytes]) -> bool:
    wish = fields.get(b"connection", b"").lower()
    return b"keep-alive" in wish if version == b"0" else b"close" not in wish
