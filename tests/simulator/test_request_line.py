"""Request lines that no client library sends, over a plain socket."""

import asyncio
import hashlib

import pytest

from tests.simulator.front_end import SECRET, FrontEnd


async def send(front: FrontEnd, line: bytes) -> bytes:
    """Send one request line unchanged; return the whole answer."""
    host, port = front.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


def signed(call: str, query: bytes) -> bytes:
    checksum = hashlib.sha256(call.encode() + query + SECRET.encode()).hexdigest()
    return f"GET /bigbluebutton/api/{call}?".encode() + query + b"&checksum=" + checksum.encode()


@pytest.mark.parametrize(
    "query",
    [
        b"name=Algebra&meetingID=odd&x=%zz",
        b"name=Algebra&meetingID=odd&x=[0]{}|^'\"`",
        b"name=Algebra&meetingID=odd&x",
        b"name=Algebra&meetingID=odd&&x==&=",
        b"name=Algebra&meetingID=odd&x=%00%0d%0a",
        b"name=Algebra&meetingID=odd&name=Second&a?b=?",
        b"name=%ff%fe&meetingID=odd",
    ],
)
async def test_the_query_is_signed_and_kept_as_sent(front: FrontEnd, query: bytes) -> None:
    answer = await send(front, signed("create", query))
    assert b"<returncode>SUCCESS</returncode>" in answer, answer
    seen = (await front.control("GET", "/requests", call="create"))["requests"][0]
    assert seen["raw_query"].encode() == signed("create", query).partition(b"?")[2]
    # The answer is well-formed, whatever the request.
    assert (await front.call("getMeetingInfo", meetingID="odd")).ok


async def test_bytes_beyond_ascii_in_a_request_line_are_a_bad_request(front: FrontEnd) -> None:
    answer = await send(front, signed("create", b"name=Alg\xc3\xa8bra&meetingID=odd"))
    assert answer.split(b" ")[1] == b"400"


async def test_a_line_of_60_kb_is_read_and_refused_readably(front: FrontEnd) -> None:
    answer = await send(front, signed("create", b"name=Algebra&meetingID=odd&x=" + b"y" * 60_000))
    assert answer.split(b" ")[1] == b"414"


async def test_a_node_can_be_set_to_accept_long_lines(front: FrontEnd) -> None:
    await front.control("POST", "/settings", max_request_line=70_000)
    answer = await send(front, signed("create", b"name=Algebra&meetingID=odd&x=" + b"y" * 60_000))
    assert b"<returncode>SUCCESS</returncode>" in answer
