"""The whole balancer on loopback with simulated nodes, in the foreground, to try it out and for tests.

Prints ``BBB_URL=``, ``BBB_SECRET=`` and ``SANDBOX_STATE=`` lines, then ``READY`` once every node is online and enabled.
Ctrl-C or SIGTERM ends it and removes everything.

SANDBOX_STATE is a JSON file with URLs, secrets and process ids. balancer.env in the same directory is for commands:
``BALANCER_ENV_FILE=…/balancer.env .venv/bin/balancer node list``. Each node's control API, at the node's own address,
shows and changes its meetings, users and faults: see lab/simulator/README.md.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import click
import requests

from lab.services import PostgreSQL, Process, Redis, ServiceError

#: Nodes are spread over this many processes at most, so that hundreds of nodes start in seconds.
NODE_PROCESSES = 10
SETTINGS_PREFIX = "BALANCER_"
BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Node:
    name: str
    url: str  #: origin of the node
    secret: str


@dataclass
class Sandbox:
    """A running balancer. Its processes end with `stack`, the newest first."""

    directory: Path
    origin: str
    secret: str
    nodes: list[Node] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    processes: dict[str, list[Process]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, role: str, command: list[str | Path]) -> Process:
        """Start one process of a role; it ends with the sandbox."""
        running = self.processes.setdefault(role, [])
        log = self.directory / f"{role}{len(running) or ''}.log"
        process = Process(role, command, log, environment=self._whole_environment())
        self.stack.callback(process.stop)
        running.append(process)
        return process

    def balancer(self, *arguments: str, given: str = "") -> str:
        """Run a ``balancer`` command with ``given`` on its standard input and return its standard output."""
        result = subprocess.run(
            [BIN / "balancer", *arguments],
            input=given,
            env=self._whole_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise ServiceError(f"balancer {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def _whole_environment(self) -> dict[str, str]:
        # The caller's environment may hold settings of another balancer.
        others = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS_PREFIX)}
        return others | self.environment

    def require_running(self) -> None:
        """Raise ServiceError, with the end of the log, if a process has ended by itself."""
        for role, running in self.processes.items():
            for process in running:
                if not process.running:
                    raise ServiceError(f"{role} ended:\n{process.log_end()}")

    def settings(self) -> dict[str, str]:
        """The balancer's settings, as environment variables."""
        return {name: value for name, value in self.environment.items() if name.startswith(SETTINGS_PREFIX)}

    def write_state(self) -> Path:
        """Write the JSON file that SANDBOX_STATE names, and return its path."""
        state = {
            "pids": {role: [process.pid for process in running] for role, running in self.processes.items()},
            "urls": {
                "balancer": self.origin,
                "nodes": [node.url for node in self.nodes],
                "postgresql": self.environment["BALANCER_DATABASE_URL"],
                "redis": self.environment["BALANCER_REDIS_URL"],
            },
            "secrets": {"balancer": self.secret, "nodes": [node.secret for node in self.nodes]},
            "environment": self.settings(),
        }
        path = self.directory / "state.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(state, indent=2))
        return path


def free_ports(count: int) -> list[int]:
    """Ports on loopback that are free at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def require_free(port: int) -> None:
    """Raise ServiceError if the port is in use, because the process behind it would be taken for our balancer."""
    with socket.socket() as one:
        # gunicorn binds in the same way: connections in TIME_WAIT do not count.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}): give another with --port, or --port 0"
            ) from error


def start_stores(sandbox: Sandbox) -> None:
    database = PostgreSQL(sandbox.directory / "postgresql").create()
    sandbox.stack.callback(database.stop)
    database.start()
    cache = Redis(sandbox.directory / "redis")
    sandbox.stack.callback(cache.stop)
    cache.start()
    assert database.process
    assert cache.process
    sandbox.processes |= {"postgresql": [database.process], "redis": [cache.process]}
    sandbox.environment |= {"BALANCER_DATABASE_URL": database.url(), "BALANCER_REDIS_URL": cache.url()}


def start_nodes(sandbox: Sandbox, count: int) -> None:
    """Start simulated nodes, each on its own port, several in one process if there are many."""
    token = secrets.token_hex(20)
    sandbox.environment |= {"BBB_SIMULATOR_SECRET": f"{token}{{port}}", "PYTHONPATH": str(PROJECT)}
    sandbox.nodes += [
        Node(f"node{number}", f"http://127.0.0.1:{port}", f"{token}{port}")
        for number, port in enumerate(free_ports(count), 1)
    ]
    root = sandbox.directory / "nodes" / "{port}"
    for first in range(min(count, NODE_PROCESSES)):
        command: list[str | Path] = [sys.executable, "-m", "lab.simulator", "--root", root]
        for node in sandbox.nodes[first::NODE_PROCESSES]:
            command += ["--listen", node.url.removeprefix("http://")]
        sandbox.run("nodes", command)


def start_balancer(sandbox: Sandbox, *, workers: int, poll_interval: float) -> None:
    recordings = sandbox.directory / "recordings"
    for name in ("spool", "published", "unpublished", "deleted", "state"):
        (recordings / name).mkdir(parents=True)
    (recordings / ".bbb-fleet-share").write_text("sandbox\n")
    sandbox.environment |= {
        "BALANCER_SECRETS": sandbox.secret,
        "BALANCER_PUBLIC_URL": sandbox.origin,
        "BALANCER_POLL_INTERVAL": f"{poll_interval:g}",
        "BALANCER_IMPORT_INTERVAL": "1",
        "BALANCER_RECORDINGS_ROOT": str(recordings),
        "BALANCER_STATE_DIRECTORY": str(recordings / "state"),
        "BALANCER_WEB_BIND": sandbox.origin.removeprefix("http://"),
        "BALANCER_WEB_WORKERS": str(workers),
    }
    settings = sandbox.directory / "balancer.env"
    settings.touch(mode=0o600)
    settings.write_text("".join(f"{name}={value}\n" for name, value in sandbox.settings().items()))
    sandbox.environment["BALANCER_ENV_FILE"] = str(settings)
    sandbox.balancer("database", "migrate")
    for node in sandbox.nodes:
        sandbox.balancer("node", "add", node.name, node.url, "--state", "enabled", "--secret-stdin", given=node.secret)
    sandbox.run("poller", [BIN / "balancer", "poller", "run"])
    sandbox.run("importer", [BIN / "balancer", "importer", "run"])
    sandbox.run("web", [BIN / "gunicorn", "--config", "python:balancer.web.gunicorn_config", "balancer.web.wsgi:app"])


def wait_until_ready(sandbox: Sandbox, timeout: float) -> None:
    """Raise ServiceError if a process ends, or if not all nodes are online and enabled in time."""

    def ready() -> bool:
        try:
            return requests.get(f"{sandbox.origin}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    sandbox.processes["web"][0].wait_until(ready, timeout)
    deadline = time.monotonic() + timeout
    while waiting := [
        f"{node['name']} is {node['observed_state']}" + (f" ({node['reason']})" if node["reason"] else "")
        for node in json.loads(sandbox.balancer("node", "list", "--format", "json"))["nodes"]
        if (node["observed_state"], node["admin_state"]) != ("online", "enabled")
    ]:
        sandbox.require_running()
        if time.monotonic() > deadline:
            raise ServiceError(f"not online after {timeout:g} s: {', '.join(waiting)}")
    sandbox.require_running()


@contextlib.contextmanager
def empty(origin: str, given: Sequence[Node] = ()) -> Iterator[Sandbox]:
    """A sandbox in which nothing runs yet, with the `given` nodes, which run elsewhere; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-") as name:
        directory = Path(name)
        # PostgreSQL's user may pass through to its own directory, but not list this one.
        directory.chmod(0o711)
        sandbox = Sandbox(directory, origin, secrets.token_hex(20), list(given))
        with sandbox.stack:
            yield sandbox


def fill(sandbox: Sandbox, count: int, *, workers: int, poll_interval: float, timeout: float) -> None:
    """Start everything, with ``count`` nodes if none were given. Raises ServiceError if it does not get ready."""
    start_stores(sandbox)
    if not sandbox.nodes:
        start_nodes(sandbox, count)
    start_balancer(sandbox, workers=workers, poll_interval=poll_interval)
    wait_until_ready(sandbox, timeout)


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Leave the block at Ctrl-C or SIGTERM; a second signal does not interrupt the clean-up."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(sandbox: Sandbox) -> None:
    """Report each process that ends by itself, once, until a signal comes."""
    reported: set[int] = set()
    while True:
        for role, running in sandbox.processes.items():
            for process in running:
                if not process.running and process.pid not in reported:
                    reported.add(process.pid)
                    click.echo(f"{role} (process {process.pid}) has ended", err=True)
        time.sleep(1)


def node_option(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[Node]:
    nodes = []
    for number, value in enumerate(values, 1):
        url, comma, secret = value.partition(",")
        if not (comma and secret and url.startswith(("http://", "https://"))):
            raise click.BadParameter("give URL,SECRET with an http or https URL", context, parameter)
        nodes.append(Node(f"given{number}", url, secret))
    return nodes


@click.command(help=__doc__)
@click.option("--nodes", "count", type=click.IntRange(1, 500), default=3, show_default=True, help="Simulated nodes.")
@click.option(
    "--node",
    "given",
    multiple=True,
    callback=node_option,
    metavar="URL,SECRET",
    help="Use this node instead of simulated ones; may be repeated.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="gunicorn workers.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--poll-interval", type=click.FloatRange(0.2, 3600), default=2, show_default=True, help="In seconds.")
@click.option("--timeout", type=float, default=60, show_default=True, help="Seconds until everything must be ready.")
def main(count: int, given: list[Node], workers: int, port: int, poll_interval: float, timeout: float) -> None:
    began = time.monotonic()
    origin = f"http://127.0.0.1:{port or free_ports(1)[0]}"
    with stopping_on_signals(), empty(origin, given) as sandbox:
        try:
            require_free(port)
            fill(sandbox, count, workers=workers, poll_interval=poll_interval, timeout=timeout)
        except ServiceError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"BBB_URL={origin}/bigbluebutton/api")
        click.echo(f"BBB_SECRET={sandbox.secret}")
        click.echo(f"SANDBOX_STATE={sandbox.write_state()}")
        click.echo(f"Started in {time.monotonic() - began:.1f} s; Ctrl-C ends it.", err=True)
        click.echo("READY")
        watch(sandbox)


if __name__ == "__main__":
    main()
