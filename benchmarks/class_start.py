"""The start of classes: 5,000 joins a minute beside 100 getMeetingInfo a second."""

import asyncio
from collections.abc import Iterator

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.load import Load, Outcome
from benchmarks.sandbox import front_end, running

SECONDS = 60
JOINS, INFOS_A_SECOND, MEETINGS = 5000, 100, 100


async def both(joins: Load, infos: Load) -> tuple[Outcome, Outcome]:
    return await asyncio.gather(joins.run(), infos.run())


def measure() -> Iterator[Figure]:
    """Response times of both at that rate, on all cores of the machine."""
    with running(nodes=2) as sandbox:
        client = front_end(sandbox)
        ids = client.make_meetings(MEETINGS)
        joins = [client.join(ids[number % MEETINGS], number) for number in range(JOINS)]
        infos = [
            client.target("getMeetingInfo", meetingID=ids[number % MEETINGS])
            for number in range(INFOS_A_SECOND * SECONDS)
        ]
        outcomes = asyncio.run(
            both(
                Load(client.origin, joins, b"HTTP/1.1 302", every=SECONDS / JOINS),
                Load(client.origin, infos, every=1 / INFOS_A_SECOND),
            )
        )
        for name, outcome in zip(("join", "getMeetingInfo"), outcomes, strict=True):
            yield Figure(f"{name}: p50", outcome.percentile(0.5) * 1000, "ms")
            yield Figure(f"{name}: p99", outcome.percentile(0.99) * 1000, "ms", 20)
            yield Figure(f"{name}: rate", outcome.rate, "a second")


if __name__ == "__main__":
    command.run("class_start", measure)
