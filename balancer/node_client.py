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
from typing import IO
from urllib.parse import urlsplit

from balancer.core import node_call
from balancer.core.meetings import Upload
from balancer.core.node_call import Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeUnreachableError
from balancer.node_connection import NodeConnection
from balancer.patience import Patience
from balancer.settings import Settings
from balancer.shared_answers import SharedAnswers

#: Seconds an idle connection is kept: well below what web servers keep it, so that none closes it under a call.
IDLE = 5.0
#: A quarter of a process's threads at most waits for one slow node: the others are there for its sisters.
_WAITING_SHARE = 4
#: Idle connections kept for one node.
_KEPT = 8
#: Seconds for which equal questions join one that was put. An answer may be longer under way than it takes a front end
#: to change something by way of another process, and to ask; but that takes longer than this.
JOINABLE = 0.01
_FORM = "application/x-www-form-urlencoded"
_XML = "application/xml"
#: Answers that are no answer to the front end's call: the node does not accept ours.
_FAULTS = {"checksumError": "checksum", "apiNotEnabled": "http"}


class NodeClient:
    """Speaks to every node. Threads share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.node_ca_file)
        self._patience = Patience(max(1, settings.web_threads // _WAITING_SHARE))
        self._questions: SharedAnswers[Answer] = SharedAnswers(JOINABLE)
        self._idle: dict[tuple[str, str], list[NodeConnection]] = defaultdict(list)
        self._lock = threading.Lock()

    def create(self, node: Node, parameters: Parameters, upload: Upload | None) -> Answer:
        """create; where it is too long for the node's URL it goes as a form. Errors as ``call``."""
        query = parameters.encode()
        timeout = self._settings.create_timeout
        if upload is not None:
            return self._send(node, "create", query, timeout, upload.open(), upload.size, _XML)
        if self.line_length(node, "create", query) > self._settings.node_url_limit_bytes:
            return self._send(node, "create", b"", timeout, io.BytesIO(query), len(query), _FORM)
        return self._send(node, "create", query, timeout)

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        """The node's answer, success or failure.

        Raises NodeUnreachableError where the call was never sent, NodeTimeoutError or NodeError where it may have had
        an effect.
        """
        timeout = self._settings.node_read_timeout
        if upload is None:
            return self._send(node, name, parameters.encode(), timeout)
        return self._send(node, name, parameters.encode(), timeout, upload.open(), upload.size, _XML)

    def ask(self, node: Node, name: str, parameters: Parameters, *, asker: int) -> Answer:
        """The node's answer to a call that changes nothing; the same askers' equal calls in flight share one.

        asker: the tenant's id. Raises NodeError.
        """
        query = parameters.encode()

        def put() -> Answer:
            url, timeout = self._url(node, name, query), self._settings.node_info_timeout
            with self._patience.judge(node.url):
                return _read(node, name, *self._exchange(url, {}, None, timeout))

        # Who waits for another's answer holds a thread too, so patience comes first.
        with self._patience.wait(node.url):
            return self._questions.ask(node.url, (asker, name, query), put)

    def list_meetings(self, node: Node, timeout: float) -> Answer:
        """getMeetings; timeout: seconds. Raises NodeError, also where the node says FAILED."""
        answer = self._send(node, "getMeetings", b"", timeout)
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

    def _send(
        self,
        node: Node,
        name: str,
        query: bytes,
        timeout: float,
        body: IO[bytes] | None = None,
        size: int = 0,
        content_type: str = "",
    ) -> Answer:
        headers = {"Content-Type": content_type, "Content-Length": str(size)} if body else {}
        try:
            with self._patience.call(node.url):
                return _read(node, name, *self._exchange(self._url(node, name, query), headers, body, timeout))
        finally:
            self._questions.outdate(node.url)

    def _url(self, node: Node, name: str, query: bytes) -> str:
        return node_call.signed_url(node.url, name, query, node.secret, self._settings.node_checksum_algorithm)

    def _exchange(self, url: str, headers: dict[str, str], body: IO[bytes] | None, timeout: float) -> tuple[int, bytes]:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc)
        if timeout <= 0:
            raise NodeUnreachableError("no time was left for the call", "slow")
        began = time.monotonic()
        connection = self._connect(origin, timeout)
        try:
            status, content = connection.exchange(_target(url), headers, body, timeout, began + timeout)
        except BaseException:
            connection.close()
            raise
        self._keep(origin, connection)
        return status, content

    def _connect(self, origin: tuple[str, str], timeout: float) -> NodeConnection:
        with self._lock:
            connections = self._idle[origin]
            while connections:
                connection = connections.pop()
                if connection.usable(IDLE):
                    return connection
                connection.close()
        scheme, address = origin
        patience = min(timeout, self._settings.node_connect_timeout)
        return NodeConnection(address, self._tls if scheme == "https" else None, patience)

    def _keep(self, origin: tuple[str, str], connection: NodeConnection) -> None:
        with self._lock:
            connections = self._idle[origin]
            if connection.reusable and len(connections) < _KEPT:
                connections.append(connection)
                return
        connection.close()


def _read(node: Node, name: str, status: int, content: bytes) -> Answer:
    """What the node said. Raises NodeError where that is no answer to the call."""
    if status != 200:
        raise NodeError(f"{node.name} answered {name} with HTTP {status}")
    answer = node_call.parse(content)
    if answer.message_key in _FAULTS and not answer.success:
        raise NodeError(f"{node.name} answered {name} with {answer.message_key}", _FAULTS[answer.message_key])
    return answer


def _target(url: str) -> str:
    """The request target: everything behind the origin, untouched."""
    return url[url.index("/", url.index("//") + 2) :]
