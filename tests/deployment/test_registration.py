"""Registration on a deployed cluster: idempotent, one at a time, and never against an operator."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, changes

pytestmark = pytest.mark.lab
NODES = "playbooks/nodes.yml"


def nodes(cluster: Cluster) -> dict[str, dict[str, Any]]:
    listed = json.loads(cluster.on("lb1", "balancer", "node", "list", "--format", "json"))["nodes"]
    return {node["name"]: node for node in listed}


@pytest.fixture
def stranger(cluster: Cluster) -> Iterator[str]:
    """A node that an operator registered and the inventory lacks."""
    name = "stranger"
    secret = "a stranger's own secret"
    add = f"echo {secret.replace(' ', '-').replace(chr(39), '')} |"
    cluster.on("lb1", f"{add} balancer node add {name} https://stranger.invalid/bigbluebutton/api --secret-stdin")
    yield name
    cluster.on("lb1", "balancer", "node", "remove", "--force", name)


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    assert changes(cluster.play_quietly(NODES)) == {}


def test_a_later_run_leaves_the_operators_state_alone(cluster: Cluster) -> None:
    cluster.on("lb1", "balancer", "node", "disable", "bbb3")
    try:
        assert changes(cluster.play_quietly(NODES)) == {}
        assert nodes(cluster)["bbb3"]["admin_state"] == "disabled"
    finally:
        cluster.on("lb1", "balancer", "node", "enable", "bbb3")


def test_the_inventory_may_decide_a_state(cluster: Cluster) -> None:
    try:
        played = cluster.play_quietly(NODES, "--limit", "bbb3", "--extra-vars", "balancer_node_state=draining")
        assert list(changes(played)) == ["bbb3"]
        assert nodes(cluster)["bbb3"]["admin_state"] == "draining"
    finally:
        cluster.on("lb1", "balancer", "node", "enable", "bbb3")


def test_a_removed_node_is_registered_and_enabled_again(cluster: Cluster) -> None:
    cluster.on("lb1", "balancer", "node", "remove", "--force", "bbb2")
    cluster.play_quietly(NODES, "--limit", "bbb2")
    node = nodes(cluster)["bbb2"]
    assert (node["admin_state"], node["observed_state"]) == ("enabled", "online")


def test_a_node_that_the_inventory_lacks_is_reported_and_stays(cluster: Cluster, stranger: str) -> None:
    played = cluster.play_quietly(NODES)
    said = [
        result.get("msg", "")
        for play in played["plays"]
        for task in play["tasks"]
        if "inventory lacks" in task["task"]["name"]
        for result in task["hosts"].values()
    ]
    assert any(stranger in message for message in said), said
    assert stranger in nodes(cluster)


def test_no_output_holds_a_secret(cluster: Cluster) -> None:
    secret = (cluster.directory / "secrets/bbb1").read_text().strip()
    played = cluster.play_quietly(NODES, "--diff", "-vvv", "--extra-vars", "bbb_node_weight=2")
    try:
        assert list(changes(played)), "the weight is a change that has a diff"
        assert secret not in json.dumps(played)
    finally:
        cluster.play_quietly(NODES)
