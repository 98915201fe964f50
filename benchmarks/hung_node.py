"""One of ten nodes stops in the middle of everything: what do calls to the other nine notice?

The node's process is stopped (SIGSTOP): it still accepts connections, as a hung host does, and never answers.
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence

from benchmarks.cluster import front_end, running
from benchmarks.figures import Figure, answer
from benchmarks.front_end import FrontEnd
from benchmarks.load import Load, Outcome, drive
from lab.sandbox import Sandbox

NODES, MEETINGS, REQUESTS = 10, 100, 3000
#: Calls to the hung node beside the others: 4 connections, one call a second each.
HUNG_CALLS, HUNG_EVERY = 40, 0.25


def placed(sandbox: Sandbox, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Meetings of the first node, and those of all others, told by the ids that the first node lists."""
    node = FrontEnd(sandbox.nodes[0].url, sandbox.nodes[0].secret)
    [listed] = drive(Load(node.origin, [node.target("getMeetings")], keep_answers=True)).answers
    there = [each for each in ids if f"<meetingID>{each}</meetingID>".encode() in listed]
    return there, [each for each in ids if each not in there]


def infos(client: FrontEnd, ids: Sequence[str], count: int) -> list[str]:
    return [client.target("getMeetingInfo", meetingID=ids[number % len(ids)]) for number in range(count)]


async def beside(load: Load, hung: Load) -> tuple[Outcome, Outcome]:
    return await asyncio.gather(load.run(), hung.run())


def measure() -> Iterator[Figure]:
    """Throughput and waits of calls to nine nodes, before and while the tenth hangs."""
    with running(nodes=NODES) as sandbox:
        client = front_end(sandbox)
        there, elsewhere = placed(sandbox, client.make_meetings(MEETINGS))
        load = Load(client.origin, infos(client, elsewhere, REQUESTS))
        drive(load)
        before = drive(load)
        process = sandbox.processes["nodes"][0]
        os.kill(process.pid, signal.SIGSTOP)
        try:
            slow = Load(client.origin, infos(client, there, HUNG_CALLS), b"", connections=4, every=HUNG_EVERY)
            during, hung = asyncio.run(beside(load, slow))
        finally:
            os.kill(process.pid, signal.SIGCONT)
        yield Figure("throughput to the others, to before", during.rate / before.rate, "times", 0.9, at_least=True)
        yield Figure("p95 of the others, to before", during.percentile(0.95) / before.percentile(0.95), "times", 1.2)
        yield Figure("slowest answer about the hung node", hung.percentile(1) * 1000, "ms", 2000)


if __name__ == "__main__":
    answer("hung_node", measure)
