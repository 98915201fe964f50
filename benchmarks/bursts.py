"""How evenly are bursts of creates placed, through the whole balancer: web processes, stores, nodes and real polls?

200 creates from 16 clients on ten nodes, and 200 more as soon as every node was polled since.
"""

import json
import time
from collections.abc import Iterator
from statistics import mean

from benchmarks.figures import Figure, answer
from benchmarks.front_end import FrontEnd
from benchmarks.load import PATIENCE, Load, LoadError, drive
from benchmarks.sandbox import front_end, running
from lab.sandbox import Sandbox

NODES, CREATES, ROUNDS, POLL_INTERVAL = 10, 200, 3, 2.0


def burst(client: FrontEnd, name: str) -> None:
    drive(Load(client.origin, [client.create(f"{name}-{number}") for number in range(CREATES)]))


def held(sandbox: Sandbox) -> list[int]:
    """How many meetings each node has, by its own word."""
    counts = []
    for node in sandbox.nodes:
        there = FrontEnd(node.url, node.secret)
        load = Load(there.origin, [there.target("getMeetings")], b"<returncode>", keep_answers=True)
        counts.append(drive(load).answers[0].count(b"<meetingID>"))
    return counts


def until_polled(sandbox: Sandbox) -> None:
    """Until a poll of every node has begun and ended from now on. Raises LoadError where that takes too long."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        nodes = json.loads(sandbox.balancer("node", "list", "--format", "json"))["nodes"]
        if all(node["snapshot_age"] < asked - began for node in nodes):
            return
        if asked > began + PATIENCE:
            raise LoadError(f"nodes were not polled within {PATIENCE:g} s")


def measure() -> Iterator[Figure]:
    """The worst of some rounds, each on nodes that were empty."""
    apart, uneven = [], []
    for _ in range(ROUNDS):
        with running(nodes=NODES, poll_interval=POLL_INTERVAL) as sandbox:
            client = front_end(sandbox)
            burst(client, "first")
            counts = held(sandbox)
            apart.append(max(counts) - min(counts))
            until_polled(sandbox)
            burst(client, "second")
            counts = held(sandbox)
            uneven.append(max(counts) / mean(counts))
    yield Figure("first burst: max - min", max(apart), "meetings", 1)
    yield Figure("both bursts: max to mean", max(uneven), "times", 1.1)


if __name__ == "__main__":
    answer("bursts", measure)
