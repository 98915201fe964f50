"""Calls to nodes from web workers: pooled connections, one deadline a call, errors that say if it may have an effect.

No larger HTTP client is used, because the URL has to go out byte for byte (urllib3 rewrites percent-escapes, which
would break the signature over what a front end sent), no call may be sent twice or through a proxy of the environment,
and an error has to distinguish connecting from calling.
"""

import io
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

from balancer.core import node_call
from balancer.core.meetings import Upload
from balancer.core.node_call import Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeStatusError, NodeUnreachableError
from balancer.nodes.connection import NodeConnection
from balancer.nodes.shared_answers import SharedAnswers
from balancer.nodes.waiting_limits import NodeLimits
from balancer.settings import Settings

#: Seconds for which an idle connection is kept: well below the limits of web servers, so that none closes it during a
#: call.
IDLE = 5.0
#: At most one in so many threads of a process waits for the same slow node; the rest are left for other nodes.
_WAITING_SHARE = 4
#: Idle connections kept for each node.
_IDLE_CONNECTIONS = 8
#: Upper bound for the bytes around the parameters in a request line; a shorter query needs no exact measurement.
_AROUND = 1000
_FORM = "application/x-www-form-urlencoded"
_XML = "application/xml"
#: The node refuses the balancer itself: not an answer to the front end's call.
_REFUSALS = ("checksumError", "apiNotEnabled")


@dataclass(frozen=True)
class _RequestBody:
    file: IO[bytes]
    size: int
    content_type: str


class NodeClient:
    """Calls any node. Threads share it."""

    def __init__(self, settings: Settings, *, limits: NodeLimits | None = None, idle: float = IDLE) -> None:
        """limits: by default from the settings; idle: seconds for which an unused connection is kept."""
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.node_ca_file)
        self._limits = limits or NodeLimits(max(1, settings.web_threads // _WAITING_SHARE))
        self._shared_answers: SharedAnswers[Answer] = SharedAnswers()
        self._keep_idle = idle
        self._idle: dict[tuple[str, str], list[NodeConnection]] = defaultdict(list)
        self._lock = threading.Lock()

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        """As ``call``, with a longer timeout."""
        return self._call(node, "create", parameters, upload, self._settings.create_timeout)

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        """The node's answer, success or failure. Parameters that are too long for its URL go as a form.

        Raises NodeUnreachableError if nothing was sent; NodeTimeoutError or NodeError if the call may have had an
        effect.
        """
        return self._call(node, name, parameters, upload, self._settings.node_read_timeout)

    def ask(self, node: Node, name: str, parameters: Parameters, *, row: int) -> Answer:
        """The node's answer to a read-only call; equal calls in flight about the same meeting share one.

        row: the meeting's row; a meeting that any process created again since has another one. Raises NodeError.
        """
        query = parameters.encode()

        def send() -> Answer:
            url_query, body = self._fitting(node, name, query)
            url, timeout = self._url(node, name, url_query), self._settings.node_info_timeout
            with self._limits.outcome(node.url, read_only=True):
                return _read(node, name, *self._exchange(node, url, body, timeout))

        # Waiting for a shared answer also occupies a thread, so it counts against the limit.
        with _naming(node), self._limits.slot(node.url, read_only=True):
            return self._shared_answers.get(node.url, (row, name, query), send)

    def list_meetings(self, node: Node, timeout: float) -> Answer:
        """The answer to getMeetings; timeout: seconds. Raises NodeError, also if the node answers FAILED."""
        answer = self._send(node, "getMeetings", b"", None, timeout, read_only=True)
        if not answer.success:
            raise node_call.refusal(node, "getMeetings", answer)
        return answer

    def line_length(self, node: Node, name: str, query: bytes) -> int:
        """Length of a call's request line in bytes."""
        url = self._url(node, name, query)
        return len("GET  HTTP/1.1\r\n") + len(_target(url))

    def join_url(self, node: Node, parameters: Parameters) -> str:
        """The signed URL that a user is redirected to."""
        return self._url(node, "join", parameters.encode())

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def _call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None, timeout: float) -> Answer:
        query = parameters.encode()
        if upload is not None:
            return self._send(node, name, query, _RequestBody(upload.open(), upload.size, _XML), timeout)
        return self._send(node, name, *self._fitting(node, name, query), timeout)

    def _fitting(self, node: Node, name: str, query: bytes) -> tuple[bytes, _RequestBody | None]:
        """The query of a call's URL and its form: a query that exceeds the node's URL limit goes as a form."""
        limit = self._settings.node_url_limit_bytes
        if len(query) + _AROUND <= limit or self.line_length(node, name, query) <= limit:
            return query, None
        return b"", _RequestBody(io.BytesIO(query), len(query), _FORM)

    def _send(
        self, node: Node, name: str, query: bytes, body: _RequestBody | None, timeout: float, *, read_only: bool = False
    ) -> Answer:
        try:
            with _naming(node), self._limits.call(node.url, read_only=read_only):
                return _read(node, name, *self._exchange(node, self._url(node, name, query), body, timeout))
        finally:
            self._shared_answers.forget(node.url)

    def _url(self, node: Node, name: str, query: bytes) -> str:
        return node_call.signed_url(node.url, name, query, node.secret, self._settings.node_checksum_algorithm)

    def _exchange(self, node: Node, url: str, body: _RequestBody | None, timeout: float) -> tuple[int, bytes]:
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.size)} if body else {}
        parts = urlsplit(node.url)
        origin = (parts.scheme, parts.netloc)
        if timeout <= 0:
            raise NodeUnreachableError("no time was left for the call", "slow")
        file = body.file if body else None
        began = time.monotonic()
        connection = self._connect(origin, timeout)
        try:
            status, content = connection.exchange(_target(url), headers, file, timeout, began + timeout)
        except BaseException:
            connection.close()
            raise
        self._keep(origin, connection)
        return status, content

    def _connect(self, origin: tuple[str, str], timeout: float) -> NodeConnection:
        while (connection := self._pop_idle(origin)) is not None:
            if connection.usable(self._keep_idle):
                return connection
            connection.close()
        scheme, address = origin
        connect_timeout = min(timeout, self._settings.node_connect_timeout)
        return NodeConnection(address, self._tls if scheme == "https" else None, connect_timeout)

    def _pop_idle(self, origin: tuple[str, str]) -> NodeConnection | None:
        with self._lock:
            connections = self._idle[origin]
            return connections.pop() if connections else None

    def _keep(self, origin: tuple[str, str], connection: NodeConnection) -> None:
        with self._lock:
            connections = self._idle[origin]
            if connection.reusable and len(connections) < _IDLE_CONNECTIONS:
                connections.append(connection)
                return
        connection.close()


@contextmanager
def _naming(node: Node) -> Iterator[None]:
    """Set the node's name in errors of the block."""
    try:
        yield
    except NodeError as error:
        error.node = node.name
        raise


def _read(node: Node, name: str, status: int, content: bytes) -> Answer:
    """The node's answer. Raises NodeError if it is not an answer to the call."""
    if status != 200:
        raise NodeStatusError(f"{node.name} answered {name} with HTTP {status}", status)
    answer = node_call.parse(content)
    if answer.message_key in _REFUSALS and not answer.success:
        raise node_call.refusal(node, name, answer)
    return answer


def _target(url: str) -> str:
    """The request target: everything after the origin, byte for byte."""
    return url[url.index("/", url.index("//") + 2) :]
