"""One connection to a node: a request leaves as it stands, and nothing about it outlasts its deadline.

By http.client, which sends a target as it is given: see benchmarks/README.md for what else could and what it costs.
"""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import IO, Any

from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError

#: Bytes of an answer; BBB's largest lists are far below.
ANSWER_LIMIT = 20_000_000
_CHUNK = 65536
_HEAD = {"User-Agent": "bbb-fleet", "Accept": "text/xml, */*;q=0.1"}


class NodeConnection:
    """For one call at a time."""

    def __init__(self, address: str, tls: ssl.SSLContext | None, timeout: float) -> None:
        """Connects; address: HOST or HOST:PORT, timeout: seconds.

        Raises NodeUnreachableError: nothing was asked of the node yet.
        """
        self.reusable = False
        self._used = time.monotonic()
        if tls is None:
            self._http = http.client.HTTPConnection(address, timeout=timeout)
        else:
            self._http = http.client.HTTPSConnection(address, timeout=timeout, context=tls)
        try:
            self._http.connect()
        except socket.gaierror as error:
            raise self._unreachable(f"{address}: {error.strerror}", "dns") from error
        except ssl.SSLError as error:
            raise self._unreachable(f"{address}: {error.reason or error}", "tls") from error
        except OSError as error:
            raise self._unreachable(f"{address}: {error}", "connect") from error
        self._socket = self._http.sock
        self._timed = _TimedSocket(self._socket)
        self._http.sock = self._timed  # http.client only sends, reads and closes it

    def _unreachable(self, message: str, reason: str) -> NodeUnreachableError:
        self._http.close()
        return NodeUnreachableError(message, reason)

    def usable(self, idle: float) -> bool:
        """Whether it was used within ``idle`` seconds, and the node has not closed it."""
        if time.monotonic() - self._used > idle:
            return False
        # Anything to read on an idle connection is its end.
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)

    def exchange(
        self, target: str, headers: Mapping[str, str], body: IO[bytes] | None, timeout: float, deadline: float
    ) -> tuple[int, bytes]:
        """One request and its whole answer until ``deadline`` (of time.monotonic(), ``timeout`` seconds after the call
        began): status and body. target: path and query. A POST where there is a body.

        Raises NodeTimeoutError, NodeError.
        """
        self.reusable = False
        self._timed.deadline = deadline
        try:
            self._send(target, headers, body)
            with self._http.getresponse() as response:
                content = response.read(ANSWER_LIMIT + 1)
                if response.length and len(content) <= ANSWER_LIMIT:
                    # A bounded read does not complain by itself.
                    raise http.client.IncompleteRead(content, response.length)
                self.reusable = response.isclosed() and not response.will_close
                status = response.status
        except TimeoutError as error:
            raise NodeTimeoutError(f"no answer within {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise NodeError(f"the connection broke: {error.__class__.__name__}", "connect") from error
        if len(content) > ANSWER_LIMIT:
            raise NodeError(f"the answer is longer than {ANSWER_LIMIT} bytes")
        self._used = time.monotonic()
        return status, content

    def close(self) -> None:
        self._http.close()
        self._socket.close()

    def _send(self, target: str, headers: Mapping[str, str], body: IO[bytes] | None) -> None:
        self._http.putrequest("POST" if body else "GET", target)
        for name, value in (*_HEAD.items(), *headers.items()):
            self._http.putheader(name, value)
        self._http.endheaders()
        while body and (chunk := body.read(_CHUNK)):
            self._http.send(chunk)


class _TimedSocket:
    """A socket whose every step ends at one deadline: an answer in drops is no way around it."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self.deadline = 0.0  #: of time.monotonic()

    def _hurry(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._inner.settimeout(left)

    def sendall(self, data: Any) -> None:
        self._hurry()
        self._inner.sendall(data)

    def receive_into(self, buffer: Any) -> int:
        self._hurry()
        return self._inner.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Nothing yet: http.client closes it while the answer is still to be read. Its owner closes the socket."""


class _Reader(io.RawIOBase):
    def __init__(self, source: _TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive_into(buffer)
