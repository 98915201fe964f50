"""How evenly are bursts of creates placed by the whole balancer, with web processes, stores, nodes and real polls?

200 creates from 16 clients on ten nodes, and 200 more as soon as every node has been polled after them.
"""

import json
import time
from collections.abc import Iterator

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.load import TIMEOUT, Load, drive
from benchmarks.sandbox import front_end, running
from lab.command import wait_until
from lab.sandbox import Sandbox

NODES, CREATES, ROUNDS, POLL_INTERVAL = 10, 200, 3, 2.0


def burst(client: FrontEnd, name: str) -> None:
    drive(Load(client.origin, [client.create(f"{name}-{number}") for number in range(CREATES)]))


def difference(sandbox: Sandbox) -> int:
    """The most minus the fewest meetings on a node, as the nodes themselves count them."""
    counts = []
    for node in sandbox.nodes:
        there = FrontEnd(node.url, node.secret)
        load = Load(there.origin, [there.target("getMeetings")], b"<returncode>", keep_answers=True)
        counts.append(drive(load).answers[0].count(b"<meetingID>"))
    return max(counts) - min(counts)


def until_polled(sandbox: Sandbox) -> None:
    """Wait until every node has been polled from begin to end. Raises LabError if that takes too long."""
    began = time.monotonic()

    def polled() -> bool:
        elapsed = time.monotonic() - began
        nodes = json.loads(sandbox.balancer("node", "list", "--format", "json"))["nodes"]
        return all(node["snapshot_age"] < elapsed for node in nodes)

    wait_until(polled, what="every node is polled", within=TIMEOUT)


def measure() -> Iterator[Figure]:
    """The worst of several rounds, each on empty nodes."""
    first, both = [], []
    for _ in range(ROUNDS):
        with running(nodes=NODES, poll_interval=POLL_INTERVAL) as sandbox:
            client = front_end(sandbox)
            burst(client, "first")
            first.append(difference(sandbox))
            until_polled(sandbox)
            burst(client, "second")
            both.append(difference(sandbox))
    yield Figure("first burst: max - min", max(first), "meetings", 1)
    yield Figure("both bursts: max - min", max(both), "meetings", 1)


if __name__ == "__main__":
    command.run("placement_bursts", measure)
