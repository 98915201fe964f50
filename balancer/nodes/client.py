"""Calls to nodes from web workers: pooled connections, one deadline for each call, errors that tell what may have been.

Without a larger client: the URL goes out byte for byte (urllib3 rewrites percent-escapes, which would break the
signature over what a front end sent), a call never twice, no proxy of the environment is asked, and connecting is told
apart from calling.
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
from balancer.nodes.limits import NodeLimits
from balancer.nodes.shared_answers import SharedAnswers
from balancer.settings import Settings

#: Seconds an idle connection is kept: well below what web servers keep it, so that none closes it under a call.
IDLE = 5.0
#: A quarter of a process's threads at most waits for one slow node: the others are there for its sisters.
_WAITING_SHARE = 4
#: Idle connections kept for one node.
_KEPT = 8
#: Bytes that more than suffice for what surrounds the parameters in a request line: below them none is measured.
_AROUND = 1000
_FORM = "application/x-www-form-urlencoded"
_XML = "application/xml"
#: Answers that are no answer to the front end's call: the node does not accept ours.
_FAULTS = {"checksumError": "checksum", "apiNotEnabled": "http"}


@dataclass(frozen=True)
class _Body:
    """What a POST carries."""

    file: IO[bytes]
    size: int
    content_type: str


class NodeClient:
    """Speaks to every node. Threads share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.node_ca_file)
        self._patience = NodeLimits(max(1, settings.web_threads // _WAITING_SHARE))
        self._questions: SharedAnswers[Answer] = SharedAnswers()
        self._idle: dict[tuple[str, str], list[NodeConnection]] = defaultdict(list)
        self._lock = threading.Lock()

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        """As ``call``; a node may take longer for it."""
        return self._call(node, "create", parameters, upload, self._settings.create_timeout)

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        """The node's answer, success or failure. Without a body, what is too long for its URL goes as a form.

        Raises NodeUnreachableError where the call was never sent, NodeTimeoutError or NodeError where it may have had
        an effect.
        """
        return self._call(node, name, parameters, upload, self._settings.node_read_timeout)

    def ask(self, node: Node, name: str, parameters: Parameters, *, row: int) -> Answer:
        """The node's answer to a call that changes nothing; equal calls in flight about one meeting share one.

        row: the meeting's; one that was born meanwhile, by way of whatever process, has another. Raises NodeError.
        """
        query = parameters.encode()

        def put() -> Answer:
            shown, body = self._fitting(node, name, query)
            url, timeout = self._url(node, name, shown), self._settings.node_info_timeout
            with self._patience.judge(node.url, question=True):
                return _read(node, name, *self._exchange(node, url, body, timeout))

        # Who waits for another's answer holds a thread too, so patience comes first.
        with _naming(node), self._patience.wait(node.url, question=True):
            return self._questions.ask(node.url, (row, name, query), put)

    def list_meetings(self, node: Node, timeout: float) -> Answer:
        """getMeetings; timeout: seconds. Raises NodeError, also where the node says FAILED."""
        answer = self._send(node, "getMeetings", b"", None, timeout, question=True)
        if not answer.success:
            raise NodeError(f"{node.name} answered getMeetings with {answer.message_key}")
        return answer

    def line_length(self, node: Node, name: str, query: bytes) -> int:
        """Bytes of the request line that a call makes."""
        url = self._url(node, name, query)
        return len("GET  HTTP/1.1\r\n") + len(_target(url))

    def join_url(self, node: Node, parameters: Parameters) -> str:
        """Where a user is sent to."""
        return self._url(node, "join", parameters.encode())

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def _call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None, timeout: float) -> Answer:
        query = parameters.encode()
        if upload is not None:
            return self._send(node, name, query, _Body(upload.open(), upload.size, _XML), timeout)
        return self._send(node, name, *self._fitting(node, name, query), timeout)

    def _fitting(self, node: Node, name: str, query: bytes) -> tuple[bytes, _Body | None]:
        """What of a call stands in its URL, and the form that it goes as where the node's limit is passed."""
        limit = self._settings.node_url_limit_bytes
        if len(query) + _AROUND <= limit or self.line_length(node, name, query) <= limit:
            return query, None
        return b"", _Body(io.BytesIO(query), len(query), _FORM)

    def _send(
        self, node: Node, name: str, query: bytes, body: _Body | None, timeout: float, *, question: bool = False
    ) -> Answer:
        try:
            with _naming(node), self._patience.call(node.url, question=question):
                return _read(node, name, *self._exchange(node, self._url(node, name, query), body, timeout))
        finally:
            self._questions.outdate(node.url)

    def _url(self, node: Node, name: str, query: bytes) -> str:
        return node_call.signed_url(node.url, name, query, node.secret, self._settings.node_checksum_algorithm)

    def _exchange(self, node: Node, url: str, body: _Body | None, timeout: float) -> tuple[int, bytes]:
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
        while (connection := self._idle_one(origin)) is not None:
            if connection.usable(IDLE):
                return connection
            connection.close()
        scheme, address = origin
        patience = min(timeout, self._settings.node_connect_timeout)
        return NodeConnection(address, self._tls if scheme == "https" else None, patience)

    def _idle_one(self, origin: tuple[str, str]) -> NodeConnection | None:
        with self._lock:
            connections = self._idle[origin]
            return connections.pop() if connections else None

    def _keep(self, origin: tuple[str, str], connection: NodeConnection) -> None:
        with self._lock:
            connections = self._idle[origin]
            if connection.reusable and len(connections) < _KEPT:
                connections.append(connection)
                return
        connection.close()


@contextmanager
def _naming(node: Node) -> Iterator[None]:
    """Errors of the block tell which node it was."""
    try:
        yield
    except NodeError as error:
        error.node = node.name
        raise


def _read(node: Node, name: str, status: int, content: bytes) -> Answer:
    """What the node said. Raises NodeError where that is no answer to the call."""
    if status != 200:
        raise NodeStatusError(f"{node.name} answered {name} with HTTP {status}", status)
    answer = node_call.parse(content)
    if answer.message_key in _FAULTS and not answer.success:
        raise NodeError(f"{node.name} answered {name} with {answer.message_key}", _FAULTS[answer.message_key])
    return answer


def _target(url: str) -> str:
    """The request target: everything behind the origin, untouched."""
    return url[url.index("/", url.index("//") + 2) :]
