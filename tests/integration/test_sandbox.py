"""bin/sandbox: everything answers when it says so, and nothing is left when it ends."""

import hashlib
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from click.testing import CliRunner

from lab.sandbox import BIN, main
from tests.sandbox import RunningSandbox

Start = Callable[..., RunningSandbox]


def call(sandbox: RunningSandbox, name: str, query: str) -> requests.Response:
    signature = hashlib.sha256(f"{name}{query}{sandbox.secret}".encode()).hexdigest()
    return requests.get(f"{sandbox.url}/{name}?{query}&checksum={signature}", timeout=10, allow_redirects=False)


def test_a_meeting_can_be_created_and_joined_at_once(sandboxes: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # A shell may have settings of another balancer.
    monkeypatch.setenv("BALANCER_SECRETS_FILE", "/nonexistent")
    sandbox = sandboxes("--nodes", "2")
    assert sandbox.url.endswith("/bigbluebutton/api")
    created = call(sandbox, "create", "name=First&meetingID=first")
    assert "<returncode>SUCCESS</returncode>" in created.text
    joined = call(sandbox, "join", "fullName=Ann&meetingID=first&role=MODERATOR")
    assert joined.status_code == 302
    assert joined.headers["Location"].startswith(tuple(sandbox.state()["urls"]["nodes"]))


def test_commands_find_it_by_the_file_beside_its_state(sandboxes: Start) -> None:
    sandbox = sandboxes("--nodes", "2")
    settings = Path(sandbox.printed["SANDBOX_STATE"]).with_name("balancer.env")
    listed = subprocess.run(
        [BIN / "balancer", "node", "list", "--format", "json"],
        env={"BALANCER_ENV_FILE": str(settings)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [node["name"] for node in json.loads(listed.stdout)["nodes"]] == ["node1", "node2"]
    assert settings.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_nothing(sandboxes: Start, number: signal.Signals) -> None:
    sandbox = sandboxes("--nodes", "1")
    directory = Path(sandbox.printed["SANDBOX_STATE"]).parent
    pids = {role: running for role, running in sandbox.state()["pids"].items() if role}
    assert set(pids) == {"web", "poller", "importer", "postgresql", "redis", "nodes"}
    children = psutil.Process(sandbox.process.pid).children(recursive=True)
    assert sandbox.stop(number) == 0
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert not directory.exists()


def test_its_processes_do_not_outlive_its_kill(sandboxes: Start) -> None:
    sandbox = sandboxes("--nodes", "1")
    children = psutil.Process(sandbox.process.pid).children(recursive=True)
    sandbox.process.kill()
    gone, alive = psutil.wait_procs(children, timeout=30)
    shutil.rmtree(Path(sandbox.printed["SANDBOX_STATE"]).parent)
    assert (len(gone), alive) == (len(children), [])


def test_a_given_node_takes_the_place_of_simulated_ones(sandboxes: Start) -> None:
    first = sandboxes("--nodes", "1")
    url, secret = first.state()["urls"]["nodes"][0], first.state()["secrets"]["nodes"][0]
    second = sandboxes("--node", f"{url},{secret}")
    assert second.state()["urls"]["nodes"] == [url]
    assert "nodes" not in second.state()["pids"]


def test_a_port_in_use_is_refused_before_anything_starts() -> None:
    """Otherwise the other server would be taken for the balancer, and READY would be wrong."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(main, ["--nodes", "1", "--port", str(port)])
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1" in result.output
    assert "--port 0" in result.output
    assert "READY" not in result.output


def test_a_malformed_node_is_refused_with_the_remedy() -> None:
    result = CliRunner().invoke(main, ["--node", "bbb1.example.org"])
    assert result.exit_code == 2
    assert "URL,SECRET" in result.output
