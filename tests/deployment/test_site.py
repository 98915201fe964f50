"""site.yml on real hosts: the result, and a second run that changes nothing, whatever an operator did."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deployed_cluster import SITE, DeployedCluster, changes

pytestmark = pytest.mark.lab
#: A node that an operator registered and that is not in the inventory.
STRANGER = "stranger"


@dataclass(frozen=True)
class SecondRun:
    """The output of a second run, and the nodes' states after it."""

    played: dict[str, Any]
    admin_states: dict[str, str]

    def messages(self, words: str) -> list[str]:
        """Messages of the tasks whose names contain these words."""
        return [
            result.get("msg", "")
            for play in self.played["plays"]
            for task in play["tasks"]
            if words in task["task"]["name"]
            for result in task["hosts"].values()
        ]


def nodes(cluster: DeployedCluster) -> dict[str, dict[str, Any]]:
    """The nodes as the balancer lists them, by name."""
    listed = json.loads(cluster.on("lb1", "balancer", "node", "list", "--format", "json"))["nodes"]
    return {node["name"]: node for node in listed}


def test_every_node_is_enabled_and_online(cluster: DeployedCluster) -> None:
    states = {name: (node["admin_state"], node["observed_state"]) for name, node in nodes(cluster).items()}
    assert states == dict.fromkeys(("bbb1", "bbb2", "bbb3"), ("enabled", "online"))


@pytest.fixture(scope="module")
def second_run(cluster: DeployedCluster) -> SecondRun:
    """site.yml again, after an operator drained a node, disabled one and registered another."""
    add = f"balancer node add {STRANGER} https://{STRANGER}.invalid/bigbluebutton/api --secret-stdin"
    cluster.on("lb1", f"echo {secrets.token_urlsafe(24)} | {add}")
    cluster.on("lb1", "balancer", "node", "disable", "bbb2")
    cluster.on("lb1", "balancer", "node", "drain", "bbb3")
    try:
        played = cluster.play_for_json(SITE)
        return SecondRun(played, {name: node["admin_state"] for name, node in nodes(cluster).items()})
    finally:
        cluster.on("lb1", "balancer", "node", "remove", "--force", STRANGER)
        for name in ("bbb2", "bbb3"):
            cluster.on("lb1", "balancer", "node", "enable", name)


def test_a_second_run_changes_nothing(second_run: SecondRun) -> None:
    assert changes(second_run.played) == {}


def test_a_second_run_does_not_undo_an_operator(second_run: SecondRun) -> None:
    assert {name: second_run.admin_states[name] for name in ("bbb2", "bbb3")} == {
        "bbb2": "disabled",
        "bbb3": "draining",
    }


def test_a_node_that_the_inventory_lacks_is_reported_and_stays(second_run: SecondRun) -> None:
    messages = second_run.messages("inventory lacks")
    assert any(STRANGER in message for message in messages), messages
    assert STRANGER in second_run.admin_states


def test_check_mode_is_clean_on_a_deployed_site(cluster: DeployedCluster) -> None:
    assert changes(cluster.play_for_json(SITE, "--check", "--diff")) == {}


def test_the_cluster_passes_its_acceptance(cluster: DeployedCluster) -> None:
    cluster.play("playbooks/acceptance.yml")
