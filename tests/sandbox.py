"""Fixture: the sandbox as a user starts it, for tests of the whole balancer."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[1]


@dataclass
class RunningSandbox:
    """One sandbox process and the values that it printed."""

    process: subprocess.Popen[str]
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.printed["BBB_URL"]

    @property
    def secret(self) -> str:
        return self.printed["BBB_SECRET"]

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(Path(self.printed["SANDBOX_STATE"]).read_text())
        return state

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the sandbox to end and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


def start(*arguments: str, timeout: float = 90) -> RunningSandbox:
    """Start a sandbox and read its output up to READY; AssertionError with its error output if it fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.sandbox", "--port", "0", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    sandbox = RunningSandbox(process)
    watchdog = threading.Timer(timeout, process.terminate)
    watchdog.start()
    for line in process.stdout:
        if line.strip() == "READY":
            watchdog.cancel()
            return sandbox
        name, _, value = line.strip().partition("=")
        sandbox.printed[name] = value
    watchdog.cancel()
    process.wait()
    raise AssertionError(f"the sandbox did not start: {process.stderr.read() if process.stderr else ''}")


@pytest.fixture
def sandboxes() -> Iterator[Callable[..., RunningSandbox]]:
    """Starts sandboxes and ends them after the test."""
    running: list[RunningSandbox] = []

    def run(*arguments: str) -> RunningSandbox:
        running.append(start(*arguments))
        return running[-1]

    yield run
    for sandbox in running:
        sandbox.stop()
        for stream in (sandbox.process.stdout, sandbox.process.stderr):
            if stream:
                stream.close()
