"""A sandbox and the acceptance suite, run as an operator runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from defusedxml import ElementTree

from acceptance.support.bbb import BBB
from tests.sandbox import RunningSandbox, start

PROJECT = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest", "acceptance", "-q")
BALANCER = str(Path(sys.executable).with_name("balancer"))


@dataclass(frozen=True)
class Run:
    """A finished run of the suite."""

    status: int
    output: str
    report: Path

    @property
    def page(self) -> str:
        return (self.report / "acceptance.html").read_text()

    def outcomes(self) -> dict[str, str]:
        """Test name to passed, failed or skipped, from junit.xml."""
        cases = ElementTree.parse(self.report / "junit.xml").iter("testcase")
        return {case.attrib["name"]: next((part.tag for part in case), "passed") for case in cases}

    def properties(self) -> dict[str, str]:
        properties = ElementTree.parse(self.report / "junit.xml").iter("property")
        return {each.attrib["name"]: each.attrib["value"] for each in properties}


@dataclass(frozen=True)
class Site:
    """A sandbox as a cluster: its environment file, and commands of an operator for the tests."""

    sandbox: RunningSandbox
    directory: Path

    @property
    def api(self) -> BBB:
        return BBB(self.sandbox.url, self.sandbox.secret)

    @property
    def undo_log(self) -> Path:
        return self.directory / "sandbox.journal.json"

    def environment(self, **changes: Any) -> Path:
        """An environment file for this sandbox, with some keys changed."""
        path = self.directory / "sandbox.yml"
        path.write_text(yaml.safe_dump({**self.content(), **changes}))
        return path

    def command(self, *arguments: str, environment: Path | None = None) -> list[str]:
        """The suite's command line; the report goes beside the environment file."""
        file = environment or self.environment()
        return [*PYTEST, "--environment", str(file), "--report", str(self.directory / "report"), *arguments]

    def accept(self, *arguments: str, environment: Path | None = None) -> Run:
        """Runs the suite and waits for its end."""
        done = subprocess.run(
            self.command(*arguments, environment=environment), cwd=PROJECT, capture_output=True, text=True, check=False
        )
        return Run(done.returncode, done.stdout + done.stderr, self.directory / "report")

    def admin_states(self) -> dict[str, str]:
        done = subprocess.run(
            [*self._balancer(), "node", "list", "--format", "json"], capture_output=True, text=True, check=True
        )
        return {node["name"]: node["admin_state"] for node in json.loads(done.stdout)["nodes"]}

    def content(self) -> dict[str, Any]:
        """The content of the environment file."""
        state = self.sandbox.state()
        pairs = zip(state["urls"]["nodes"], state["secrets"]["nodes"], strict=True)
        balancer = self._balancer()
        return {
            "version": 1,
            "name": "sandbox",
            "url": self.sandbox.url,
            "secret": self.sandbox.secret,
            "nodes": [
                {"name": f"node{number}", "url": f"{url}/bigbluebutton/api", "secret": secret}
                for number, (url, secret) in enumerate(pairs, start=1)
            ],
            "client": "simulator",
            "share": "bind",
            "disruptive": True,
            "poll_interval": 2,
            "record_seconds": 2,
            "publishing_deadline": 5,
            "owner": "the tests",
            "rollback_point": "none",
            "connector_version": "none",
            "operator": {
                "run_on": "controller",
                "node_list": [*balancer, "node", "list", "--format", "json"],
                "node_enable": [*balancer, "node", "enable", "{node}"],
                "node_disable": [*balancer, "node", "disable", "{node}"],
                "node_drain": [*balancer, "node", "drain", "{node}"],
                "version": [BALANCER, "--version"],
            },
        }

    def _balancer(self) -> list[str]:
        settings = self.sandbox.state()["environment"]
        return ["env", *(f"{name}={value}" for name, value in settings.items()), BALANCER]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A balancer with three simulated nodes, shared by a module's tests."""
    sandbox = start("--nodes", "3")
    try:
        yield Site(sandbox, tmp_path_factory.mktemp("site"))
    finally:
        sandbox.stop()
        for stream in (sandbox.process.stdout, sandbox.process.stderr):
            if stream:
                stream.close()
        assert not os.path.exists(sandbox.printed["SANDBOX_STATE"])


@pytest.fixture
def foreign_meeting(site: Site) -> Iterator[Callable[[], bool]]:
    """A meeting that the suite did not create. The returned function is true while the meeting exists."""
    api = site.api
    api.call("create", meetingID="a-lecture", name="A lecture").succeeded()
    yield lambda: api.call("getMeetingInfo", meetingID="a-lecture").ok
    api.call("end", meetingID="a-lecture")
