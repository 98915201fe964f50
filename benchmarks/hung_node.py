"""How much does one hung node of ten cost calls to the other nine?

The node's process is stopped (SIGSTOP): like a hung host it still accepts connections, but never answers.
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.load import TIMEOUT, Load, Outcome, drive
from benchmarks.sandbox import front_end, running
from lab.command import wait_until
from lab.sandbox import Sandbox

NODES, MEETINGS, REQUESTS, ROUNDS = 10, 100, 3000, 5
#: Calls to the hung node at the same time: 4 connections, one call a second each.
HUNG_CALLS, HUNG_EVERY = 40, 0.25


def placed(sandbox: Sandbox, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids of the first node's meetings, as it lists them, and of all other meetings."""
    node = FrontEnd(sandbox.nodes[0].url, sandbox.nodes[0].secret)
    [listed] = drive(Load(node.origin, [node.target("getMeetings")], keep_answers=True)).answers
    there = [each for each in ids if f"<meetingID>{each}</meetingID>".encode() in listed]
    return there, [each for each in ids if each not in there]


def infos(client: FrontEnd, ids: Sequence[str], count: int) -> list[str]:
    return [client.target("getMeetingInfo", meetingID=ids[number % len(ids)]) for number in range(count)]


async def run_both(load: Load, hung: Load) -> tuple[Outcome, Outcome]:
    return await asyncio.gather(load.run(), hung.run())


def run_while_hung(sandbox: Sandbox, load: Load, hung: Load) -> tuple[Outcome, Outcome]:
    """Run both loads while the first node hangs."""
    process = sandbox.processes["nodes"][0]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        return asyncio.run(run_both(load, hung))
    finally:
        os.kill(process.pid, signal.SIGCONT)


def await_recovery(origin: str, target: str) -> None:
    """Wait until the call to the node succeeds again. Raises LabError if it does not."""

    def succeeds() -> bool:
        [answer] = drive(Load(origin, [target], b"<returncode>", keep_answers=True)).answers
        return b"SUCCESS" in answer

    wait_until(succeeds, what="the node answers again", within=TIMEOUT)


def measure() -> Iterator[Figure]:
    """Throughput and response times of calls to nine nodes before and while the tenth hangs, medians of all rounds."""
    rates, waits, slowest = [], [], []
    with running(nodes=NODES) as sandbox:
        client = front_end(sandbox)
        there, elsewhere = placed(sandbox, client.make_meetings(MEETINGS))
        load = Load(client.origin, infos(client, elsewhere, REQUESTS))
        slow = Load(client.origin, infos(client, there, HUNG_CALLS), b"", connections=4, every=HUNG_EVERY)
        drive(load)
        for _ in range(ROUNDS):
            before = drive(load)
            during, hung = run_while_hung(sandbox, load, slow)
            await_recovery(client.origin, slow.targets[0])
            rates.append(during.rate / before.rate)
            waits.append(during.percentile(0.95) / before.percentile(0.95))
            slowest.append(hung.percentile(1) * 1000)
    yield Figure("throughput to the others, to before", median(rates), "times", 0.9, at_least=True)
    yield Figure("p95 of the others, to before", median(waits), "times", 1.1)
    yield Figure("slowest answer about the hung node", max(slowest), "ms", 2000)


if __name__ == "__main__":
    command.run("hung_node", measure)
