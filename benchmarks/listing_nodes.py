"""Many BBB nodes that only list meetings, in one process with little overhead, for the poller's benchmark.

``python -m benchmarks.listing_nodes PORT NODES HUNG MEETINGS USERS``: node number N listens on 127.1.X.Y (see
``address``); the last HUNG of them accept requests and never answer. Checksums are not verified.
"""

import asyncio
import itertools
import random
import resource
import sys
from email.utils import formatdate

_ATTENDEE = """
        <attendee>
          <userID>w_{number:012d}</userID>
          <fullName>Ada Lovelace &amp; {number}</fullName>
          <role>VIEWER</role>
          <isPresenter>false</isPresenter>
          <isListeningOnly>false</isListeningOnly>
          <hasJoinedVoice>true</hasJoinedVoice>
          <hasVideo>false</hasVideo>
          <clientType>HTML5</clientType>
        </attendee>"""
_MEETING = """
    <meeting>
      <meetingName>Analysis &amp; geometry {node}-{number}</meetingName>
      <meetingID>course-{node}-{number}</meetingID>
      <internalMeetingID>{node:020x}{number:020x}-1748000000{number:03d}</internalMeetingID>
      <createTime>1748000000{number:03d}</createTime>
      <createDate>Fri May 23 11:33:20 UTC 2025</createDate>
      <voiceBridge>{number:05d}</voiceBridge>
      <dialNumber>613-555-1234</dialNumber>
      <attendeePW>attendee-{number}</attendeePW>
      <moderatorPW>moderator-{number}</moderatorPW>
      <running>true</running>
      <duration>0</duration>
      <hasUserJoined>true</hasUserJoined>
      <recording>false</recording>
      <hasBeenForciblyEnded>false</hasBeenForciblyEnded>
      <startTime>1748000001000</startTime>
      <endTime>0</endTime>
      <participantCount>{users}</participantCount>
      <listenerCount>0</listenerCount>
      <voiceParticipantCount>{users}</voiceParticipantCount>
      <videoCount>2</videoCount>
      <maxUsers>0</maxUsers>
      <moderatorCount>1</moderatorCount>
      <attendees>{attendees}
      </attendees>
      <metadata>
        <bbb-origin>Moodle</bbb-origin>
        <bbb-origin-server-name>moodle.example.org</bbb-origin-server-name>
        <bbb-context-name>Analysis</bbb-context-name>
      </metadata>
      <isBreakout>false</isBreakout>
    </meeting>"""
_INDEX = """<response>
  <returncode>SUCCESS</returncode>
  <version>2.0</version>
  <apiVersion>2.0</apiVersion>
  <bbbVersion>3.0.10</bbbVersion>
</response>"""


def address(node: int) -> str:
    """The loopback address of a node: each has its own, so that each has separate connections."""
    return f"127.1.{node // 250}.{node % 250 + 1}"


def internal_id(node: int, number: int) -> str:
    """The node's internalMeetingID of a meeting."""
    return f"{node:020x}{number:020x}-1748000000{number:03d}"


def listing(node: int, meetings: int, users: int) -> bytes:
    """A node's answer to getMeetings."""
    attendees = "".join(_ATTENDEE.format(number=number) for number in range(users))
    listed = "".join(
        _MEETING.format(node=node, number=number, users=users, attendees=attendees) for number in range(meetings)
    )
    return (
        f"<response>\n  <returncode>SUCCESS</returncode>\n  <meetings>{listed}\n  </meetings>\n</response>"
    ).encode()


class _Connection(asyncio.Protocol):
    """One connection of a poller; requests have no body and may arrive in several packets."""

    def __init__(self, node: int, hung: bool, meetings: int, users: int) -> None:
        self._shape = (node, meetings, users)
        self._hung = hung
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            if not self._hung:
                # The response time of a healthy node.
                asyncio.get_running_loop().call_later(random.uniform(0.01, 0.05), self._answer, head)

    def _answer(self, head: bytes) -> None:
        body = listing(*self._shape) if b"/getMeetings" in head.partition(b"\r\n")[0] else _INDEX.encode()
        lines = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=utf-8\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(lines.encode() + body)


async def serve(port: int, nodes: int, hung: int, meetings: int, users: int) -> None:
    loop = asyncio.get_running_loop()
    for node in range(nodes):
        silent = node >= nodes - hung
        await loop.create_server(
            lambda node=node, silent=silent: _Connection(node, silent, meetings, users),  # type: ignore[misc]
            address(node),
            port,
        )
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(*itertools.islice(map(int, sys.argv[1:]), 5)))
