"""A client with little overhead: keep-alive connections over raw asyncio streams, bounded in count and time.

Its requests have the headers with which the edge (roles/nginx) passes on a front end's.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: Time limit for one answer in seconds; a load in which one takes longer has failed.
TIMEOUT = 30.0
_REQUEST = """GET {target} HTTP/1.1\r
Host: {host}\r
X-Forwarded-For: 203.0.113.7\r
X-Forwarded-Proto: https\r
X-Forwarded-Host: {host}\r
X-Request-Id: 8a0c1f6b2d7e4935a1c0de5f9b37a642\r
User-Agent: MoodleBot/4.5 (+https://moodle.example)\r
Accept: */*\r
\r
"""


class LoadError(Exception):
    """An answer was not the expected one, so its time would be meaningless."""


@dataclass
class Outcome:
    """The result of a load; all times in seconds."""

    waits: list[float] = field(default_factory=list)  #: from request to complete answer
    elapsed: float = 0.0
    answers: list[bytes] = field(default_factory=list)  #: filled if Load.keep_answers is set

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers arrived."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits) / self.elapsed


@dataclass(frozen=True)
class Load:
    """Requests to send, each once, in order."""

    origin: str
    targets: Sequence[str]  #: path and query
    expected: bytes = b"<returncode>SUCCESS</returncode>"  #: what every answer must contain
    connections: int = 16
    every: float = 0.0  #: seconds between two requests of the whole load; 0: as fast as possible
    keep_answers: bool = False

    async def run(self) -> Outcome:
        """Send all requests. Raises LoadError if an answer is not the expected one or comes too late."""
        outcome = Outcome()
        began = time.perf_counter()
        queue = iter(enumerate(self.targets))
        await asyncio.gather(*(self._connection(queue, began, outcome) for _ in range(self.connections)))
        outcome.elapsed = time.perf_counter() - began
        return outcome

    async def _connection(self, queue: Iterator[tuple[int, str]], began: float, outcome: Outcome) -> None:
        parts = urlsplit(self.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
        try:
            for number, target in queue:
                if writer.is_closing():
                    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
                if self.every:
                    await asyncio.sleep(max(0.0, began + number * self.every - time.perf_counter()))
                sent = time.perf_counter()
                writer.write(_REQUEST.format(target=target, host=parts.netloc).encode())
                answer = await asyncio.wait_for(_answer(reader), TIMEOUT)
                outcome.waits.append(time.perf_counter() - sent)
                if self.expected not in answer:
                    raise LoadError(f"{target.partition('?')[0]} was answered {answer[:2000]!r}")
                if self.keep_answers:
                    outcome.answers.append(answer)
                if b"\r\nConnection: close" in answer:
                    writer.close()
        except TimeoutError as error:
            raise LoadError(f"no answer within {TIMEOUT:g} s") from error
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one answer. Raises LoadError if it has no Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise LoadError(f"an answer without a length: {head!r}")
    return head + await reader.readexactly(int(rest.partition(b"\r\n")[0]))


def drive(load: Load) -> Outcome:
    """Run one load alone."""
    return asyncio.run(load.run())
