"""HTTP out to nodes for the poller: asyncio, kept-alive connections, errors with the reason of an observed state.

TLS is always verified.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from balancer.core import exact_end, node_call
from balancer.core.node_call import ANSWER_LIMIT_BYTES
from balancer.core.nodes import Node
from balancer.errors import NodeError, NodeStatusError, NodeTimeoutError, NodeUnreachableError
from balancer.settings import Settings

_DNS_CACHE_SECONDS = 60
#: Seconds after which a node is polled over a new connection: an old one may go on although no new one is possible any
#: longer, because a firewall, a certificate or the name's address has changed.
RENEW_AFTER = 60.0
#: The query of a call that costs a node next to nothing.
_NO_MEETING = b"meetingID=bbb-fleet-tries-a-digest"


@dataclass(frozen=True)
class PollAnswer:
    """A node's successful answer to getMeetings."""

    meetings: list[node_call.SeenMeeting]
    node_time: datetime | None  #: of its Date header: whole seconds, rounded down
    arrived: float  #: time.monotonic() when that header arrived


class AsyncNodeClient:
    """Use as ``async with``: connections live as long as the block."""

    def __init__(self, settings: Settings, *, renew_after: float = RENEW_AFTER) -> None:
        """renew_after: seconds between new connections to a node."""
        self._algorithm = settings.node_checksum_algorithm
        self._connect_timeout = settings.node_connect_timeout
        # Longer than the pause between two polls, shorter than nginx's keepalive_timeout on a node (65 s).
        self._keepalive = min(60.0, 2 * settings.poll_interval + settings.poll_timeout)
        self._ca_file = settings.node_ca_file
        self._session: aiohttp.ClientSession | None = None
        self._renew_after = renew_after
        self._renewal_due: dict[str, float] = {}  #: by the node's URL, of time.monotonic()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=4,
            keepalive_timeout=self._keepalive,
            ttl_dns_cache=_DNS_CACHE_SECONDS,
            ssl=ssl.create_default_context(cafile=self._ca_file),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            # BBB's API uses neither cookies nor redirects.
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "bbb-fleet"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_meetings(self, node: Node, *, timeout: float) -> PollAnswer:
        """timeout: seconds for everything together. Raises NodeError."""
        answer, arrival = await self._signed(node, "getMeetings", b"", timeout, close=self._renewal_is_due(node))
        if not answer.success:
            raise node_call.refusal(node, "getMeetings", answer)
        return PollAnswer(node_call.seen_meetings(answer), arrival.node_time, arrival.at)

    async def find(self, node: Node, meeting_id: str, *, timeout: float) -> str:
        """internalMeetingID of the meeting that the node has under this meetingID, "" if none. Raises NodeError."""
        query = urlencode({"meetingID": meeting_id}).encode()
        answer, _ = await self._signed(node, "getMeetingInfo", query, timeout)
        if not answer.success and not exact_end.is_absent(answer):
            raise node_call.refusal(node, "getMeetingInfo", answer)
        return answer.text("internalMeetingID")

    async def end_unused(self, node: Node, meeting: node_call.SeenMeeting, *, timeout: float) -> bool:
        """Whether the node ends exactly this meeting now; False if it is gone, or a user has joined.

        timeout: seconds for each call. Raises exact_end.NotEndedError, NodeError.
        """
        calls = exact_end.ending_calls(node, meeting.meeting_id, meeting.internal_meeting_id, unused=True)
        try:
            name, parameters = next(calls)
            while True:
                try:
                    answer, _ = await self._signed(node, name, parameters.encode(), timeout)
                except NodeError as error:
                    name, parameters = calls.throw(error)
                else:
                    name, parameters = calls.send(answer)
        except StopIteration as result:
            return bool(result.value)

    async def version(self, node: Node, *, timeout: float) -> str:
        """BBB's release, "" if the node does not reveal it.

        Raises NodeError, with reason "version" if the node's API is not of version 2.
        """
        body, _ = await self._get(node.url, timeout)
        answer = node_call.parse(body)
        api = answer.text("apiVersion") or answer.text("version")
        if not answer.success or not api.startswith("2."):
            raise NodeError(f"the node's API is of version {api[:20]!r}, not 2", "version")
        return answer.text("bbbVersion")[:50]

    async def accepts(self, node: Node, algorithm: str, *, timeout: float) -> bool:
        """Whether the node accepts a checksum in this digest; timeout: seconds. Raises NodeError."""
        answer, _ = await self._signed(node, "isMeetingRunning", _NO_MEETING, timeout, algorithm)
        return answer.message_key != "checksumError"

    async def _signed(
        self, node: Node, call: str, query: bytes, timeout: float, algorithm: str = "", *, close: bool = False
    ) -> tuple[node_call.Answer, "_Arrival"]:
        url = node_call.signed_url(node.url, call, query, node.secret, algorithm or self._algorithm)
        body, arrival = await self._get(url, timeout, close=close)
        return node_call.parse(body), arrival

    def _renewal_is_due(self, node: Node) -> bool:
        """Whether this poll should be the last one over its connection."""
        now = time.monotonic()
        if now < self._renewal_due.setdefault(node.url, now + self._renew_after):
            return False
        self._renewal_due[node.url] = now + self._renew_after
        return True

    async def _get(self, url: str, timeout: float, *, close: bool = False) -> tuple[bytes, "_Arrival"]:
        """close: ask the node to close the connection afterwards."""
        assert self._session is not None, "use `async with`"  # noqa: S101 - a mistake of ours, not of the input
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=self._connect_timeout)
        try:
            # The signature covers the URL byte for byte, so it must not be encoded again.
            target = URL(url, encoded=True)
            request = self._session.get(
                target, timeout=limits, allow_redirects=False, headers={"Connection": "close"} if close else None
            )
            async with request as response:
                if response.status != 200:
                    raise NodeStatusError(f"the node answered with HTTP status {response.status}", response.status)
                arrival = _Arrival(_date(response), time.monotonic())
                return await _body(response), arrival
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise as_node_error(error) from error


@dataclass(frozen=True)
class _Arrival:
    """When the head of an answer arrived, by the node's clock and by ours."""

    node_time: datetime | None
    at: float


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT_BYTES:
            raise NodeError(f"the node's answer is longer than {ANSWER_LIMIT_BYTES} bytes")
    return b"".join(parts)


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else None


def as_node_error(error: BaseException) -> NodeError:
    """The library's error as a NodeError. No text contains the URL, because that carries a signature."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NodeUnreachableError("the node's name does not resolve", "dns")
        case aiohttp.ClientConnectorCertificateError():
            return NodeUnreachableError("the node's certificate is not valid", "tls")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return NodeUnreachableError("no TLS with the node", "tls")
        case aiohttp.ConnectionTimeoutError():
            return NodeUnreachableError("no connection to the node in time", "connect")
        case aiohttp.ClientConnectorError():
            return NodeUnreachableError(f"no connection to the node: {error.strerror or 'refused'}", "connect")
        case asyncio.TimeoutError():
            return NodeTimeoutError("the node did not answer in time")
        case aiohttp.ClientOSError() | aiohttp.ServerDisconnectedError() | ConnectionError():
            return NodeError("the node closed the connection", "connect")
        case _:
            return NodeError(f"the node's answer is not valid HTTP: {error.__class__.__name__}")
