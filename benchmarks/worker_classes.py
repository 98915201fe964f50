"""gunicorn's worker classes for the balancer: CPU time a request, and what calls notice while another node hangs.

As many workers of each as are deployed, before the same stores and nodes. ``uv pip install --group benchmarks`` brings
gevent; without it that class is left out.
"""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import bare_answer
from benchmarks.figures import Figure, answer
from benchmarks.front_end import FrontEnd
from benchmarks.hung_node import beside, infos, placed
from benchmarks.libraries import optional
from benchmarks.load import Load, drive
from benchmarks.processes import Meter
from benchmarks.sandbox import THREADS, WORKERS, front_end, running, wait_for
from lab.sandbox import BIN, PROJECT, Sandbox, free_ports

DEPLOYED = "gthread"
ROUNDS, REQUESTS, MEETINGS = 8, 500, 100
#: Calls about the hung node, on as many connections, so many seconds apart.
HUNG_CALLS, HUNG_CONNECTIONS, HUNG_EVERY = 16, 4, 0.25


@dataclass
class Served:
    """The balancer under one class of workers, or the bare answer."""

    name: str
    origin: str
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))  #: seconds, all rounds together, by call


def start(sandbox: Sandbox, name: str) -> Served:
    """Serve the sandbox's balancer by this class too. Raises ServiceError where it does not get ready."""
    origin = f"http://127.0.0.1:{free_ports(1)[0]}"
    # gunicorn takes gthread for sync where there are threads.
    threads = 1 if name == "sync" else THREADS
    settings = ["--config", "python:balancer.web.server", "--chdir", str(PROJECT)]
    given = ["--bind", origin.removeprefix("http://"), "--worker-class", name, "--threads", str(threads)]
    process = sandbox.run(name, [BIN / "gunicorn", *settings, *given, "balancer.web.wsgi:app"])
    wait_for(process, f"{origin}/readyz")
    return Served(name, origin)


def take(served: Served, call: str, targets: Sequence[str], meter: Meter) -> None:
    """One round of a call."""
    before = meter.read()[served.name]
    drive(Load(served.origin, targets, b"HTTP/1.1 302" if call == "join" else b"<returncode>SUCCESS</returncode>"))
    served.cpu[call] += meter.read()[served.name] - before


def spend(client: FrontEnd, ids: Sequence[str], plain: Served, served: Sequence[Served], meter: Meter) -> None:
    """CPU time of each class, by turns; a first round only warms up."""
    nothing = [client.target("isMeetingRunning")] * REQUESTS
    of_info, of_join = infos(client, ids, REQUESTS), [client.join(ids[n % len(ids)], n) for n in range(REQUESTS)]
    for number in range(ROUNDS + 1):
        take(plain, "bare", nothing, meter)
        for each in served:
            take(each, "getMeetingInfo", of_info, meter)
            take(each, "join", of_join, meter)
        if number == 0:
            for each in (plain, *served):
                each.cpu.clear()


def hang(sandbox: Sandbox, origin: str, there: Sequence[str], elsewhere: Sequence[str]) -> tuple[float, float]:
    """Calls to one node while another hangs: their throughput as times what it was before, the longest in seconds."""
    client = FrontEnd(origin, sandbox.secret)
    load = Load(origin, infos(client, elsewhere, 4 * REQUESTS))
    slow = Load(origin, infos(client, there, HUNG_CALLS), b"", connections=HUNG_CONNECTIONS, every=HUNG_EVERY)
    before = drive(load)
    process = sandbox.processes["nodes"][0]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        during, _ = asyncio.run(beside(load, slow))
    finally:
        os.kill(process.pid, signal.SIGCONT)
    return during.rate / before.rate, during.percentile(1)


def measure() -> Iterator[Figure]:
    """The deployed class and the others."""
    # Polled so seldom that nobody but the workers notices a node that hangs.
    with running(nodes=2, poll_interval=60.0) as sandbox:
        client = front_end(sandbox)
        ids = client.make_meetings(MEETINGS)
        names = [DEPLOYED, "sync", *(["gevent"] if optional("gevent") else [])]
        plain = Served("bare", bare_answer.start(sandbox, WORKERS, THREADS))
        served = [start(sandbox, name) for name in names]
        spend(client, ids, plain, served, Meter({name: sandbox.processes[name] for name in ("bare", *names)}))
        there, elsewhere = placed(sandbox, ids)
        for each in served:
            for call, seconds in each.cpu.items():
                yield Figure(f"{each.name}: {call}, CPU to bare", seconds / plain.cpu["bare"], "times")
            throughput, longest = hang(sandbox, each.origin, there, elsewhere)
            yield Figure(f"{each.name}: throughput beside a hung node", throughput, "times before")
            yield Figure(f"{each.name}: longest call beside a hung node", longest * 1000, "ms")


if __name__ == "__main__":
    answer("worker_classes", measure)
