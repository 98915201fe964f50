"""gunicorn's worker classes for the balancer: CPU time a request, and the effect of a hung node on other calls.

Each class has as many workers as a deployment, and all use the same stores and nodes. ``uv pip install --group
benchmarks`` installs gevent; without it that class is skipped.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import bare_answer, command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.hung_node import infos, placed, run_while_hung
from benchmarks.libraries import optional
from benchmarks.load import Load, drive
from benchmarks.processes import Meter
from benchmarks.sandbox import THREADS, WORKERS, front_end, running, wait_for
from lab.sandbox import BIN, PROJECT, Sandbox, free_ports

DEPLOYED = "gthread"
ROUNDS, REQUESTS, MEETINGS = 8, 500, 100
#: Calls about the hung node: their number, their connections, and the seconds between two of them.
HUNG_CALLS, HUNG_CONNECTIONS, HUNG_EVERY = 16, 4, 0.25


@dataclass
class Service:
    """The balancer with one class of workers, or the bare answer."""

    name: str
    origin: str
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))  #: seconds of all rounds, by call


def start(sandbox: Sandbox, name: str) -> Service:
    """Serve the sandbox's balancer with this class too. Raises ServiceError if it does not get ready."""
    origin = f"http://127.0.0.1:{free_ports(1)[0]}"
    # With more than one thread gunicorn replaces sync by gthread.
    threads = 1 if name == "sync" else THREADS
    settings = ["--config", "python:balancer.web.gunicorn_config", "--chdir", str(PROJECT)]
    given = ["--bind", origin.removeprefix("http://"), "--worker-class", name, "--threads", str(threads)]
    process = sandbox.run(name, [BIN / "gunicorn", *settings, *given, "balancer.web.wsgi:app"])
    wait_for(process, f"{origin}/readyz")
    return Service(name, origin)


def take(service: Service, call: str, targets: Sequence[str], meter: Meter) -> None:
    """Measure one round of a call."""
    before = meter.read()[service.name]
    drive(Load(service.origin, targets, b"HTTP/1.1 302" if call == "join" else b"<returncode>SUCCESS</returncode>"))
    service.cpu[call] += meter.read()[service.name] - before


def measure_cpu(
    client: FrontEnd, ids: Sequence[str], plain: Service, services: Sequence[Service], meter: Meter
) -> None:
    """Measure the CPU time of all classes in turns, after a round of warm-up."""
    nothing = [client.target("isMeetingRunning")] * REQUESTS
    of_info, of_join = infos(client, ids, REQUESTS), [client.join(ids[n % len(ids)], n) for n in range(REQUESTS)]
    for number in range(ROUNDS + 1):
        take(plain, "bare", nothing, meter)
        for each in services:
            take(each, "getMeetingInfo", of_info, meter)
            take(each, "join", of_join, meter)
        if number == 0:
            for each in (plain, *services):
                each.cpu.clear()


def with_hung_node(
    sandbox: Sandbox, origin: str, there: Sequence[str], elsewhere: Sequence[str]
) -> tuple[float, float]:
    """Calls to one node while another hangs: their throughput as a multiple of before, the longest in seconds."""
    client = FrontEnd(origin, sandbox.secret)
    load = Load(origin, infos(client, elsewhere, 4 * REQUESTS))
    slow = Load(origin, infos(client, there, HUNG_CALLS), b"", connections=HUNG_CONNECTIONS, every=HUNG_EVERY)
    before = drive(load)
    during, _ = run_while_hung(sandbox, load, slow)
    return during.rate / before.rate, during.percentile(1)


def measure() -> Iterator[Figure]:
    """The deployed class and the alternatives."""
    # Polls are so rare that the poller does not detect the hung node for the workers.
    with running(nodes=2, poll_interval=60.0) as sandbox:
        client = front_end(sandbox)
        ids = client.make_meetings(MEETINGS)
        names = [DEPLOYED, "sync", *(["gevent"] if optional("gevent") else [])]
        plain = Service("bare", bare_answer.start(sandbox, WORKERS, THREADS))
        services = [start(sandbox, name) for name in names]
        measure_cpu(client, ids, plain, services, Meter({name: sandbox.processes[name] for name in ("bare", *names)}))
        there, elsewhere = placed(sandbox, ids)
        for each in services:
            for call, seconds in each.cpu.items():
                yield Figure(f"{each.name}: {call}, CPU to bare", seconds / plain.cpu["bare"], "times")
            throughput, longest = with_hung_node(sandbox, each.origin, there, elsewhere)
            yield Figure(f"{each.name}: throughput beside a hung node", throughput, "times before")
            yield Figure(f"{each.name}: longest call beside a hung node", longest * 1000, "ms")


if __name__ == "__main__":
    command.run("worker_classes", measure)
