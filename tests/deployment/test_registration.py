"""Registration on a deployed cluster, one node at a time; test_site.py shows what a second run leaves unchanged."""

import json
from typing import Any

import pytest

from tests.deployed_cluster import DeployedCluster, changes

pytestmark = pytest.mark.lab
NODES = "playbooks/nodes.yml"


def node(cluster: DeployedCluster, name: str) -> dict[str, Any]:
    """A node as the balancer shows it."""
    found: dict[str, Any] = json.loads(cluster.on("lb1", "balancer", "node", "show", name, "--format", "json"))["node"]
    return found


def test_the_inventory_may_decide_weight_and_state_and_no_output_holds_a_secret(cluster: DeployedCluster) -> None:
    secret = (cluster.directory / "secrets/bbb3").read_text().strip()
    decided = ("--extra-vars", '{"bbb_node_weight": 2, "balancer_node_state": "draining"}')
    try:
        shown = cluster.play_verbosely(NODES, "--limit", "bbb3", *decided)
        assert (node(cluster, "bbb3")["admin_state"], node(cluster, "bbb3")["weight"]) == ("draining", 2)
        for setting in ("weight", "admin_state"):
            assert any(line.startswith("+") and setting in line for line in shown.splitlines()), "a change has a diff"
        assert secret not in shown
        # The state stays if the inventory no longer decides it; the weight returns to its default.
        assert list(changes(cluster.play_for_json(NODES, "--limit", "bbb3"))) == ["bbb3"]
        assert (node(cluster, "bbb3")["admin_state"], node(cluster, "bbb3")["weight"]) == ("draining", 1)
    finally:
        cluster.on("lb1", "balancer", "node", "enable", "bbb3")


def test_a_removed_node_is_registered_and_enabled_again(cluster: DeployedCluster) -> None:
    cluster.on("lb1", "balancer", "node", "remove", "--force", "bbb2")
    cluster.play_for_json(NODES, "--limit", "bbb2")
    again = node(cluster, "bbb2")
    assert (again["admin_state"], again["observed_state"]) == ("enabled", "online")
