"""One of ten nodes stops in the middle of everything: what do calls to the other nine notice?

The node's process is stopped (SIGSTOP): it still accepts connections, as a hung host does, and never answers.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.figures import Figure, answer
from benchmarks.front_end import FrontEnd
from benchmarks.load import PATIENCE, Load, LoadError, Outcome, drive
from benchmarks.sandbox import front_end, running
from lab.sandbox import Sandbox

NODES, MEETINGS, REQUESTS, ROUNDS = 10, 100, 3000, 5
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


def with_it_hung(sandbox: Sandbox, load: Load, slow: Load) -> tuple[Outcome, Outcome]:
    """How both loads go meanwhile."""
    process = sandbox.processes["nodes"][0]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        return asyncio.run(beside(load, slow))
    finally:
        os.kill(process.pid, signal.SIGCONT)


def until_it_is_back(origin: str, target: str) -> None:
    """Raises LoadError where it does not come back."""
    deadline = time.monotonic() + PATIENCE
    while True:
        [answer] = drive(Load(origin, [target], b"<returncode>", keep_answers=True)).answers
        if b"SUCCESS" in answer:
            return
        if time.monotonic() > deadline:
            raise LoadError(f"the node did not come back within {PATIENCE} s")
        time.sleep(0.2)


def measure() -> Iterator[Figure]:
    """Throughput and waits of calls to nine nodes, before and while the tenth hangs: the median of several rounds."""
    rates, waits, slowest = [], [], []
    with running(nodes=NODES) as sandbox:
        client = front_end(sandbox)
        there, elsewhere = placed(sandbox, client.make_meetings(MEETINGS))
        load = Load(client.origin, infos(client, elsewhere, REQUESTS))
        slow = Load(client.origin, infos(client, there, HUNG_CALLS), b"", connections=4, every=HUNG_EVERY)
        drive(load)
        for _ in range(ROUNDS):
            before = drive(load)
            during, hung = with_it_hung(sandbox, load, slow)
            until_it_is_back(client.origin, slow.targets[0])
            rates.append(during.rate / before.rate)
            waits.append(during.percentile(0.95) / before.percentile(0.95))
            slowest.append(hung.percentile(1) * 1000)
    yield Figure("throughput to the others, to before", median(rates), "times", 0.9, at_least=True)
    yield Figure("p95 of the others, to before", median(waits), "times", 1.2)
    yield Figure("slowest answer about the hung node", max(slowest), "ms", 2000)


if __name__ == "__main__":
    answer("hung_node", measure)
