"""The Ansible module balancer_node, run by Ansible, against the real command, poller and simulated nodes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import RunningSandbox

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Site:
    """A sandbox, whose balancer the module manages."""

    sandbox: RunningSandbox
    awaiting: Path

    def __post_init__(self) -> None:
        self.state = self.sandbox.state()
        self.environment = os.environ | self.state["environment"] | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}

    def balancer(self, *words: str) -> dict[str, Any]:
        command = [str(BIN / "balancer"), *words, "--format", "json"]
        output = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout
        answer: dict[str, Any] = json.loads(output)
        return answer

    @property
    def first(self) -> dict[str, Any]:
        node: dict[str, Any] = self.balancer("node", "list")["nodes"][0]
        return node

    def module(self, *options: str, **arguments: Any) -> dict[str, Any]:
        """Run the module as a play does; return its result, with all output as ``printed``."""
        given = {"command": str(BIN / "balancer"), "awaiting_directory": str(self.awaiting), **arguments}
        command = [str(BIN / "ansible"), "localhost", "-i", "localhost,", "-c", "local", "-m", "balancer_node"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", "-a", json.dumps(given), *options]
        done = subprocess.run(command, env=self.environment, cwd=PROJECT, check=False, capture_output=True, text=True)
        start = done.stdout.index("=> {") + 3
        result: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout[start:])[0]
        return result | {"failed": done.returncode != 0, "printed": done.stdout + done.stderr}

    def register(self, *options: str, **arguments: Any) -> dict[str, Any]:
        given = {"name": "new", "url": self.state["urls"]["nodes"][0], "secret": self.state["secrets"]["nodes"][0]}
        return self.module(*options, **(given | arguments))


@pytest.fixture
def site(sandboxes: Callable[..., RunningSandbox], tmp_path: Path) -> Site:
    """One simulated node that is not registered yet."""
    made = Site(sandboxes("--nodes", "1", "--poll-interval", "0.5"), tmp_path / "awaiting")
    made.balancer("node", "remove", made.first["name"], "--force")
    return made


def test_a_new_node_is_disabled_and_admitted_once_it_is_online(site: Site) -> None:
    planned = site.register("--check")
    assert (planned["changed"], site.balancer("node", "list")["nodes"]) == (True, [])

    assert site.register()["changed"]
    assert site.first["admin_state"] == "disabled"
    assert not site.register()["changed"]

    admitted = site.module(name="new", state="admitted", online_timeout=30)
    assert admitted["changed"], admitted
    node = site.first
    assert (node["admin_state"], node["observed_state"]) == ("enabled", "online")
    assert not site.module(name="new", state="admitted")["changed"]

    site.balancer("node", "disable", "new")
    assert not site.module(name="new", state="admitted")["changed"]
    assert site.first["admin_state"] == "disabled", "what an operator disabled stays so"


def test_limits_are_set_and_removed(site: Site) -> None:
    assert site.register(soft_users=200, hard_meetings=30)["changed"]
    limits = {"soft_meetings": None, "hard_meetings": 30, "soft_users": 200, "hard_users": None}
    assert site.first["limits"] == limits
    assert not site.register(soft_users=200)["changed"]
    assert site.register(hard_meetings=0)["changed"]
    assert site.first["limits"] == limits | {"hard_meetings": None}
    assert site.register(soft_users=10, hard_users=5)["failed"]


def test_tags_are_set_and_removed(site: Site) -> None:
    assert site.register(tags=["big", "exam"])["changed"]
    assert site.first["tags"] == ["big", "exam"]
    assert not site.register()["changed"]
    assert site.register(tags=[])["changed"]
    assert site.first["tags"] == []
    assert not site.register(tags=[])["changed"]


def test_an_unreachable_node_stays_disabled_until_a_later_run(site: Site) -> None:
    site.register(url="http://127.0.0.1:9/bigbluebutton/api")
    refused = site.module(name="new", state="admitted", online_timeout=1)
    assert refused["failed"]
    assert "node new stays disabled" in refused["msg"]
    assert site.first["admin_state"] == "disabled"

    assert site.register()["changed"], "the address is corrected"
    assert site.module(name="new", state="admitted", online_timeout=30)["changed"]
    assert site.first["admin_state"] == "enabled"


def test_a_secret_is_never_shown(site: Site) -> None:
    secret = site.state["secrets"]["nodes"][0]
    first = site.register("-vvv", "--diff")
    changed = site.register("-vvv", "--diff", secret="another-secret-of-the-node")
    assert changed["changed"]
    assert changed["diff"]["after"]["secret"] == "changed"
    for result in (first, changed):
        assert secret not in result["printed"]
        assert "another-secret-of-the-node" not in result["printed"]


def test_the_commands_message_is_reported(site: Site) -> None:
    assert "is not registered with the balancer" in site.module(name="nobody", state="draining")["msg"]
    refused = site.register(url="not a url")
    assert refused["failed"]
    assert "Traceback" not in refused["msg"]
