"""Fixture: a cluster of real hosts, deployed with site.yml as an operator would."""

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
#: A name other than the demo's, because both labs may be up at once.
LAB = "check"
#: Environment variable with the name of a deployed lab to use and keep, so that a test can be repeated at once.
STANDING_LAB = "BBB_FLEET_STANDING_LAB"
SITE = "playbooks/site.yml"


@dataclass(frozen=True)
class DeployedCluster:
    """A lab on which the product is deployed."""

    name: str

    @property
    def directory(self) -> Path:
        return Path("/var/lib/bbb-fleet-lab") / self.name

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "BBB_FLEET_LAB": self.name,
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.directory / "vault-password"),
            # Seconds until sudo answers: hosts in User Mode Linux on busy cores take longer than Ansible's 10.
            "ANSIBLE_TIMEOUT": "60",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def lab(self, *arguments: str) -> str:
        """Run a ``python -m lab`` command and return its standard output; its progress goes to our standard error."""
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
        """Run a command on a host as root and return its standard output."""
        return self.lab("run", host, "--", *command)

    def play(self, playbook: str, *arguments: str) -> None:
        """Run a playbook with its ordinary output."""
        subprocess.run(self._ansible(playbook, *arguments), cwd=PROJECT, env=self.environment, check=True)

    def play_verbosely(self, playbook: str, *arguments: str) -> str:
        """Run a playbook that must succeed; return its output at the highest verbosity, with diffs."""
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

    def play_for_json(self, playbook: str, *arguments: str) -> dict[str, Any]:
        """Run a playbook and return its JSON output: plays, tasks and each host's statistics."""
        result = subprocess.run(
            self._ansible(playbook, *arguments),
            cwd=PROJECT,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            env=self.environment | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        )
        # Warnings may precede the document.
        played: dict[str, Any] = json.loads(result.stdout[result.stdout.index("{") :])
        return played

    def accept(self, *arguments: str, environment: Path, report: Path) -> subprocess.CompletedProcess[str]:
        """Run the acceptance suite with these pytest arguments; the report goes to a directory."""
        options = ["--environment", str(environment), "--report", str(report)]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, *options],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def _ansible(self, *arguments: str) -> list[str]:
        return ["ansible-playbook", "--inventory", str(self.directory / "inventory"), *arguments]


def changes(played: dict[str, Any]) -> dict[str, list[str]]:
    """Names of the tasks that changed a host or failed on it, by host."""
    found: dict[str, list[str]] = {}
    for play in played["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("changed") or result.get("failed") or result.get("unreachable"):
                    found.setdefault(host, []).append(task["task"]["name"])
    return found


@contextmanager
def deployed(name: str, *up: str) -> Iterator[DeployedCluster]:
    """A deployed lab with that name; `up` are the arguments of ``lab up``. It is taken down in any case."""
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
