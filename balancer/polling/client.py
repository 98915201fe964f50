"""HTTP out to nodes for the poller: asyncio, kept-alive connections, typed errors with the reason of an observed state.

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

from balancer.core import ending, node_call
from balancer.core.nodes import Node
from balancer.errors import NodeError, NodeStatusError, NodeTimeoutError, NodeUnreachableError
from balancer.settings import Settings

#: A node with a thousand meetings of a hundred users answers with a tenth of this.
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_DNS_CACHE_SECONDS = 60
#: Seconds after which a node is polled over a new connection: an old one may live where nobody else gets in any more,
#: since a firewall, a certificate or the name's address has changed.
_RENEW_AFTER = 60.0
#: Of a call that costs a node next to nothing.
_NO_MEETING = b"meetingID=bbb-fleet-tries-a-digest"


@dataclass(frozen=True)
class Listed:
    """A node's good answer to getMeetings."""

    meetings: list[node_call.SeenMeeting]
    node_time: datetime | None  #: of its Date header: whole seconds, rounded down
    answered: float  #: time.monotonic() when that header was here


class AsyncNodeClient:
    """Use as ``async with``: connections live as long as the block."""

    def __init__(self, settings: Settings) -> None:
        self._algorithm = settings.node_checksum_algorithm
        self._connect_timeout = settings.node_connect_timeout
        # Longer than the pause between two polls, shorter than nginx's keepalive_timeout on a node (65 s).
        self._keepalive = min(60.0, 2 * settings.poll_interval + settings.poll_timeout)
        self._ca_file = settings.node_ca_file
        self._session: aiohttp.ClientSession | None = None
        self._renew: dict[str, float] = {}  #: when next, of time.monotonic(), by the node's URL

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
            # A node has no business with cookies of ours; and a redirect is no answer of BBB's API.
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "bbb-fleet"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_meetings(self, node: Node, *, timeout: float) -> Listed:
        """timeout: seconds for everything together. Raises NodeError."""
        answer, arrival = await self._signed(node, "getMeetings", b"", timeout, last=self._is_last(node))
        if not answer.success:
            raise refused("getMeetings", answer)
        return Listed(node_call.seen_meetings(answer), arrival.node_time, arrival.at)

    async def find(self, node: Node, meeting_id: str, *, timeout: float) -> str:
        """internalMeetingID of the meeting that the node has under this id, "" for none. Raises NodeError."""
        query = urlencode({"meetingID": meeting_id}).encode()
        answer, _ = await self._signed(node, "getMeetingInfo", query, timeout)
        _check("getMeetingInfo", answer)
        return answer.text("internalMeetingID")

    async def end_unused(self, node: Node, meeting: node_call.SeenMeeting, *, timeout: float) -> bool:
        """Have the node end this very meeting, unless somebody came in; whether it was asked to.

        timeout: seconds for each call. Raises NodeError.
        """
        for named in ending.names(meeting.meeting_id, meeting.internal_meeting_id):
            query = ending.info_parameters(named).encode()
            try:
                info, _ = await self._signed(node, "getMeetingInfo", query, timeout)
            except NodeError as error:
                if not ending.takes_no_internal_id(error, named, meeting.meeting_id):
                    raise
                continue
            _check("getMeetingInfo", info)
            if info.success:
                break
        else:
            return False
        if info.text("internalMeetingID") != meeting.internal_meeting_id or _used(info):
            return False
        answer, _ = await self._signed(node, "end", ending.end_parameters(named, info).encode(), timeout)
        _check("end", answer)
        return True

    async def version(self, node: Node, *, timeout: float) -> str:
        """BBB's release, "" where the node does not reveal it. Raises NodeError, with reason "version" where the node's
        API is not of version 2."""
        body, _ = await self._get(node.url, timeout)
        answer = node_call.parse(body)
        api = answer.text("apiVersion") or answer.text("version")
        if not answer.success or not api.startswith("2."):
            raise NodeError(f"the node's API is of version {api[:20]!r}, not 2", "version")
        return answer.text("bbbVersion")[:50]

    async def takes(self, node: Node, algorithm: str, *, timeout: float) -> bool:
        """Whether the node takes a checksum in this digest; timeout: seconds. Raises NodeError."""
        answer, _ = await self._signed(node, "isMeetingRunning", _NO_MEETING, timeout, algorithm)
        return answer.message_key != "checksumError"

    async def _signed(
        self, node: Node, call: str, query: bytes, timeout: float, algorithm: str = "", *, last: bool = False
    ) -> tuple[node_call.Answer, "_Arrival"]:
        url = node_call.signed_url(node.url, call, query, node.secret, algorithm or self._algorithm)
        body, arrival = await self._get(url, timeout, last=last)
        return node_call.parse(body), arrival

    def _is_last(self, node: Node) -> bool:
        """Whether a connection's next poll should be its last."""
        now = time.monotonic()
        if now < self._renew.setdefault(node.url, now + _RENEW_AFTER):
            return False
        self._renew[node.url] = now + _RENEW_AFTER
        return True

    async def _get(self, url: str, timeout: float, *, last: bool = False) -> tuple[bytes, "_Arrival"]:
        """last: the node is told to close the connection afterwards."""
        assert self._session is not None, "use `async with`"  # noqa: S101 - a mistake of ours, not of the input
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=self._connect_timeout)
        try:
            # The URL is signed as it stands: nothing may encode it anew.
            target = URL(url, encoded=True)
            asked = self._session.get(
                target, timeout=limits, allow_redirects=False, headers={"Connection": "close"} if last else None
            )
            async with asked as response:
                if response.status != 200:
                    raise NodeStatusError(f"the node answered with HTTP status {response.status}", response.status)
                arrival = _Arrival(_date(response), time.monotonic())
                return await _body(response), arrival
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise as_ours(error) from error


@dataclass(frozen=True)
class _Arrival:
    """When an answer's head came, by the node's clock and by ours."""

    node_time: datetime | None
    at: float


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT_BYTES:
            raise NodeError(f"the node's answer is larger than {ANSWER_LIMIT_BYTES} bytes")
    return b"".join(parts)


def _used(info: node_call.Answer) -> bool:
    """Whether somebody is or was in the meeting."""
    return info.text("hasUserJoined").strip().lower() != "false" or info.text("participantCount").strip() != "0"


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    try:
        found = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _check(call: str, answer: node_call.Answer) -> None:
    """Raises NodeError where the node refused a call about a meeting for another reason than that it has none."""
    if not answer.success and not ending.is_absent(answer):
        raise refused(call, answer)


def refused(call: str, answer: node_call.Answer) -> NodeError:
    """A node's FAILED where nothing of ours could be wrong but the secret or the digest."""
    reason = "checksum" if answer.message_key == "checksumError" else "http"
    return NodeError(f"the node refused {call}: {answer.message_key[:40]}", reason)


def as_ours(error: BaseException) -> NodeError:
    """The library's error as one of ours. The texts name no URL: it carries a signature."""
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
            return NodeError("the node broke the connection off", "connect")
        case _:
            return NodeError(f"the node's answer is not HTTP as it should be: {error.__class__.__name__}")
