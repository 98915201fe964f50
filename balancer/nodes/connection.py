"""One connection to a node: a request goes out byte for byte, and the whole exchange has one deadline.

Written by hand because http.client's own connection has a timeout for each step instead, and none for DNS.
"""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any
from urllib.parse import urlsplit

from balancer.core.node_call import ANSWER_LIMIT_BYTES
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.nodes import http_answer

_CHUNK_BYTES = 65536
#: Resolves names: a resolver whose name server is away blocks for 10 s and more.
_LOOKUPS = ThreadPoolExecutor(8, "lookup")
_HEADERS = "User-Agent: bbb-fleet\r\nAccept: text/xml, */*;q=0.1\r\nAccept-Encoding: identity\r\n"


class NodeConnection:
    """For one call at a time."""

    def __init__(self, address: str, tls: ssl.SSLContext | None, timeout: float) -> None:
        """Connects; address: HOST or HOST:PORT, timeout: seconds.

        Raises NodeUnreachableError: nothing has been sent to the node yet.
        """
        self.reusable = False
        self._address = address
        self._used = time.monotonic()
        try:
            self._socket = _connect(address, tls, timeout)
        except socket.gaierror as error:
            raise NodeUnreachableError(f"{address}: {error.strerror}", "dns") from error
        except ssl.SSLError as error:
            raise NodeUnreachableError(f"{address}: {error.reason or error}", "tls") from error
        except OSError as error:
            raise NodeUnreachableError(f"{address}: {error}", "connect") from error

    def usable(self, idle: float) -> bool:
        """Whether it was used within ``idle`` seconds, and the node has not closed it."""
        if time.monotonic() - self._used > idle:
            return False
        # If an idle connection is readable, the node has closed it.
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)

    def exchange(
        self, target: str, headers: Mapping[str, str], body: IO[bytes] | None, timeout: float, deadline: float
    ) -> tuple[int, bytes]:
        """Send one request and read its whole answer; returns status and body. With a body, it is a POST.

        target: path and query, percent-encoded. timeout: seconds, for the error message. deadline: of
        time.monotonic(), for everything together. Raises NodeTimeoutError, NodeError.
        """
        self.reusable = False
        timed = _TimedSocket(self._socket, deadline)
        try:
            timed.sendall(self._head("POST" if body else "GET", target, headers))
            while body and (chunk := body.read(_CHUNK_BYTES)):
                timed.sendall(chunk)
            answer = http_answer.read(timed, ANSWER_LIMIT_BYTES)
        except TimeoutError as error:
            raise NodeTimeoutError(f"no answer within {timeout:g} s") from error
        except http_answer.AnswerTooLongError as error:
            raise NodeError(f"the answer is longer than {ANSWER_LIMIT_BYTES} bytes") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NodeError(f"the connection broke: {error.__class__.__name__}", "connect") from error
        self.reusable = answer.reusable
        self._used = time.monotonic()
        return answer.status, answer.body

    def close(self) -> None:
        self._socket.close()

    def _head(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {target} HTTP/1.1\r\nHost: {self._address}\r\n{_HEADERS}{more}\r\n".encode("ascii")


def _connect(address: str, tls: ssl.SSLContext | None, timeout: float) -> socket.socket:
    parts = urlsplit(f"//{address}")
    connection = _connect_to_any(parts.hostname or "", parts.port or (443 if tls else 80), time.monotonic() + timeout)
    # Send a request at once, even if the previous answer has not been acknowledged yet.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        connection = tls.wrap_socket(connection, server_hostname=parts.hostname)
    connection.setblocking(False)
    return connection


def _connect_to_any(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address of a host that accepts. Raises OSError.

    All addresses share one deadline (of time.monotonic()): socket.create_connection gives the whole time to each.
    """
    addresses = _addresses(host, port, deadline)
    last: OSError = TimeoutError("timed out")
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(max(0.001, (deadline - time.monotonic()) / left))
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
            continue
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        return connection
    raise last


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """As socket.getaddrinfo; raises socket.gaierror also if no name server answers before the deadline."""
    with suppress(socket.gaierror):
        # An IP address needs no lookup.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    lookup = _LOOKUPS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        return lookup.result(deadline - time.monotonic())
    except TimeoutError as error:
        lookup.cancel()
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered in time") from error


class _TimedSocket(io.RawIOBase):
    """A socket with one deadline (of time.monotonic()) for all steps, so that an answer byte by byte cannot extend it.

    The socket is non-blocking: a timeout of Python's own would cost two more system calls a step, and would release
    and retake the interpreter's lock as often. Closing this leaves the socket open.
    """

    def __init__(self, inner: socket.socket, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self) -> float:
        """Seconds until the deadline. Raises TimeoutError once it has passed."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _wait(self, event: int) -> None:
        poller = select.poll()
        poller.register(self._inner, event)
        if not poller.poll(self._left() * 1000):
            raise TimeoutError

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._left()
            try:
                rest = rest[self._inner.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # The kernel does not report bytes that TLS has decrypted already.
        ready = isinstance(self._inner, ssl.SSLSocket) and self._inner.pending() > 0
        while True:
            if not ready:
                self._wait(select.POLLIN)
            self._left()
            try:
                return self._inner.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                ready = False
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)
                ready = True
