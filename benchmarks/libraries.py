"""The balancer's HTTP client, XML parser and Redis protocol reader, compared with alternatives for the same work.

CPU time of one thread as a multiple of the balancer's choice: the median of several rounds, in each of which all of
them take turns. ``uv pip install --group benchmarks`` installs the alternatives; those that are missing are skipped.
"""

import http.client
import importlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import click
import defusedxml.ElementTree
import requests
import urllib3
from redis._parsers import _RESP3Parser
from redis.connection import PythonRespSerializer
from redis.utils import HIREDIS_AVAILABLE

from balancer.core import node_call
from balancer.nodes.connection import NodeConnection
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.whereabouts import Location, Whereabouts
from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.listing_nodes import listing
from lab.services import Redis

ROUNDS = 7
#: Does one piece of work; all of one comparison have the same result.
Work = Callable[[], Any]
#: Escapes and characters that a client must not change, because front ends sign them.
AWKWARD = "/x?a=%c3%A9+%20%7e&b=*'()!~[]|{}^`\"<>&c=&d"
PLAIN = "/bigbluebutton/api/getMeetingInfo?meetingID=x&checksum=1"


def cpu(work: Work, times: int) -> float:
    """CPU time of this thread for one piece of work, in seconds."""
    before = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - before) / times


def compare(subject: str, works: Mapping[str, Work], times: int) -> Iterator[Figure]:
    """Compare each way of doing the work with the first, the balancer's. Raises AssertionError if results differ."""
    ours, *_ = works
    expected = works[ours]()
    for name, work in works.items():
        assert work() == expected, f"{name} has another result"
    rounds = [{name: cpu(work, times) for name, work in works.items()} for _ in range(ROUNDS)]
    yield Figure(f"{subject}: {ours}", median(each[ours] for each in rounds) * 1e6, "µs")
    for name in works:
        if name != ours:
            yield Figure(f"{subject}: {name}, to ours", median(each[name] / each[ours] for each in rounds), "times")


def optional(name: str) -> Any:
    """A module, or None with a message if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        click.echo(f"{name} is skipped, because it is not installed", err=True)
        return None


class Peer:
    """A node that gives every request the same answer at once, in a separate thread."""

    def __init__(self, body: bytes) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        self._answer += body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.target = ""  #: of the last request
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        while chunk := connection.recv(65536):
            request += chunk
            if request.endswith(b"\r\n\r\n"):
                self.target = request.split(b" ", 2)[1].decode()
                request = b""
                connection.sendall(self._answer)


def http_clients(address: str) -> Iterator[tuple[str, Callable[[str], bytes]]]:
    """Names and functions of clients that get the body of a target over a kept connection."""
    own, bare = NodeConnection(address, None, 1.0), http.client.HTTPConnection(address, timeout=1.0)
    host, port = address.split(":")
    pool, session = urllib3.HTTPConnectionPool(host, int(port), timeout=1.0), requests.Session()
    session.trust_env = False
    origin = f"http://{address}"

    def by_own(target: str) -> bytes:
        assert own.usable(60.0)
        return own.exchange(target, {}, None, 1.0, time.monotonic() + 1.0)[1]

    def by_http_client(target: str) -> bytes:
        bare.request("GET", target)
        return bare.getresponse().read()

    yield "NodeConnection", by_own
    yield "http.client", by_http_client
    yield "urllib3", lambda target: pool.request("GET", target, retries=False, redirect=False).data
    yield "requests", lambda target: session.get(origin + target, timeout=1.0, allow_redirects=False).content
    if httpx := optional("httpx"):
        client = httpx.Client(trust_env=False, timeout=1.0)
        yield "httpx", lambda target: client.get(origin + target).content


def compare_http() -> Iterator[Figure]:
    """A small answer over a kept connection, and whether the URL arrives unchanged."""
    peer = Peer(listing(0, 1, 1))
    clients = dict(http_clients(peer.address))
    yield from compare("HTTP", {name: partial(get, PLAIN) for name, get in clients.items()}, 300)
    for name, get in clients.items():
        get(AWKWARD)
        yield Figure(f"HTTP: {name} sends the URL as it is", float(peer.target == AWKWARD), "(1: yes)")


def by_expat(body: bytes) -> list[str]:
    """The texts of all meetingID elements, from expat's events."""
    found: list[str] = []
    texts: list[str] = []
    parser = expat.ParserCreate()

    def end(tag: str) -> None:
        if tag == "meetingID":
            found.append("".join(texts))

    parser.StartElementHandler = lambda tag, attributes: texts.clear()
    parser.CharacterDataHandler = texts.append
    parser.EndElementHandler = end
    parser.Parse(body, True)
    return found


def xml_parsers() -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """Names and functions of parsers that return a tree like ElementTree's."""
    yield "ElementTree without DTDs", lambda body: node_call.parse(body).root
    yield "ElementTree alone", ElementTree.fromstring
    yield "defusedxml", defusedxml.ElementTree.fromstring
    if lxml := optional("lxml.etree"):
        parser = lxml.XMLParser(resolve_entities=False, no_network=True)
        yield "lxml", lambda body: lxml.fromstring(body, parser)


def meeting_ids(parse: Callable[[bytes], Any], body: bytes) -> list[str]:
    """The texts of all meetingID elements, from a tree."""
    return [each.findtext("meetingID") for each in parse(body).findall("meetings/meeting")]


def polled(parse: Callable[[bytes], Any], body: bytes) -> list[node_call.SeenMeeting]:
    """Everything that the poller reads."""
    return node_call.seen_meetings(node_call.Answer(True, "", "", parse(body), body))


def compare_xml() -> Iterator[Figure]:
    """A small answer, and the answer of a node with ten meetings of 15 users each."""
    parsers = dict(xml_parsers())
    small, large = listing(0, 1, 0), listing(0, 10, 15)
    for size, body, times in (("1 kB", small, 1000), ("70 kB", large, 30)):
        works: dict[str, Work] = {name: partial(meeting_ids, parse, body) for name, parse in parsers.items()}
        yield from compare(f"XML, {size}", works | {"expat by hand": partial(by_expat, body)}, times)
    everything = {name: partial(polled, parse, large) for name, parse in parsers.items()}
    yield from compare("XML, 70 kB polled", everything, 30)


@contextmanager
def placements() -> Iterator[dict[str, Whereabouts]]:
    """Clients of one Redis with 100 placements, by the name of their protocol reader."""
    assert HIREDIS_AVAILABLE
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-") as directory, Redis(Path(directory)).start() as server:
        fast, plain = redis_client.connect(server.url()), redis_client.connect(server.url())
        encoder = plain.connection_pool.get_encoder()
        plain.connection_pool.connection_kwargs |= {
            "parser_class": _RESP3Parser,
            "command_packer": PythonRespSerializer(6000, encoder.encode),
        }
        for number in range(100):
            Whereabouts(fast).note(1, f"room-{number}", Location(number, 1, "0" * 40 + "-1748000000000"))
        yield {"hiredis": Whereabouts(fast), "Python's": Whereabouts(plain)}
        fast.close()
        plain.close()


def compare_redis() -> Iterator[Figure]:
    """The query of a join, and that of a list of 100 meetings."""
    ids = [f"room-{number}" for number in range(100)]
    with placements() as readers:
        one = {name: partial(each.find, 1, "room-7") for name, each in readers.items()}
        yield from compare("Redis, GET", one, 500)
        many = {name: partial(each.find_all, 1, ids) for name, each in readers.items()}
        yield from compare("Redis, MGET of 100", many, 50)


def measure() -> Iterator[Figure]:
    """All comparisons."""
    yield from compare_http()
    yield from compare_xml()
    yield from compare_redis()


if __name__ == "__main__":
    command.run("libraries", measure)
