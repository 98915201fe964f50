"""Fixture: a whole cluster of real hosts, deployed with site.yml as an operator would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[1]
#: Not the demo's lab: both may be up at once.
LAB = "check"
#: Names a lab that is deployed already and stays, so that a test can be tried again at once.
STANDING_LAB = "BBB_FLEET_STANDING_LAB"
SITE = "playbooks/site.yml"


@dataclass(frozen=True)
class DeployedCluster:
    """A lab with the product on it."""

    name: str

    @property
    def directory(self) -> Path:
        return Path("/var/lib/bbb-fleet-lab") / self.name

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "BBB_FLEET_LAB": self.name,
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.directory / "vault-password"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def lab(self, *arguments: str) -> str:
        """Run a ``python -m lab`` command; its standard output. Its progress goes to ours."""
        result = subprocess.run(
            [sys.executable, "-m", "lab", *arguments],
            cwd=PROJECT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return result.stdout

    def on(self, host: str, *command: str) -> str:
        """Run a command on a host as root; its standard output."""
        return self.lab("run", host, "--", *command)

    def play(self, playbook: str, *arguments: str) -> None:
        """Run a playbook with its ordinary output."""
        subprocess.run(self._ansible(playbook, *arguments), cwd=PROJECT, env=self.environment, check=True)

    def play_shown(self, playbook: str, *arguments: str) -> str:
        """Run a playbook that is to succeed; everything that a person sees who asks for all of it."""
        result = subprocess.run(
            self._ansible(playbook, "-vvv", "--diff", *arguments),
            cwd=PROJECT,
            env=self.environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert result.returncode == 0, result.stdout[-5000:]
        return result.stdout

    def play_quietly(self, playbook: str, *arguments: str) -> dict[str, Any]:
        """Run a playbook and read its machine-readable output: plays, tasks and the statistics of each host."""
        result = subprocess.run(
            self._ansible(playbook, *arguments),
            cwd=PROJECT,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            env=self.environment | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        )
        # Warnings may stand before the document.
        played: dict[str, Any] = json.loads(result.stdout[result.stdout.index("{") :])
        return played

    def _ansible(self, *arguments: str) -> list[str]:
        return ["ansible-playbook", "--inventory", str(self.directory / "inventory"), *arguments]


def changes(played: dict[str, Any]) -> dict[str, list[str]]:
    """HOST -> names of the tasks that changed it or failed on it."""
    found: dict[str, list[str]] = {}
    for play in played["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("changed") or result.get("failed") or result.get("unreachable"):
                    found.setdefault(host, []).append(task["task"]["name"])
    return found


@contextmanager
def deployed(name: str, *up: str) -> Iterator[DeployedCluster]:
    """A lab with that name, brought up with these words and deployed; taken down whatever happens."""
    cluster = DeployedCluster(name)
    cluster.lab("down")
    try:
        cluster.lab("up", *up)
        cluster.play(SITE)
        yield cluster
    finally:
        cluster.lab("down")


@pytest.fixture(scope="session")
def cluster() -> Iterator[DeployedCluster]:
    """Six hosts, deployed once for all tests of the run and taken down at its end."""
    if standing := os.environ.get(STANDING_LAB):
        yield DeployedCluster(standing)
        return
    with deployed(LAB) as cluster:
        yield cluster
