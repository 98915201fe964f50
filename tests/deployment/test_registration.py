"""Registration on a deployed cluster, one node at a time; what a second run leaves alone is in test_site.py."""

import json
from typing import Any

import pytest

from tests.cluster import Cluster, changes

pytestmark = pytest.mark.lab
NODES = "playbooks/nodes.yml"


def node(cluster: Cluster, name: str) -> dict[str, Any]:
    """A node as the balancer shows it."""
    found: dict[str, Any] = json.loads(cluster.on("lb1", "balancer", "node", "show", name, "--format", "json"))["node"]
    return found


def test_the_inventory_may_decide_weight_and_state_and_no_output_holds_a_secret(cluster: Cluster) -> None:
    secret = (cluster.directory / "secrets/bbb3").read_text().strip()
    decided = ("--extra-vars", '{"bbb_node_weight": 2, "balancer_node_state": "draining"}')
    try:
        played = cluster.play_quietly(NODES, "--limit", "bbb3", "--diff", "-vvv", *decided)
        # The names of both tasks that change a node: one has a diff of the weight, one of the state.
        assert [len(tasks) for tasks in changes(played).values()] == [2], changes(played)
        assert (node(cluster, "bbb3")["admin_state"], node(cluster, "bbb3")["weight"]) == ("draining", 2)
        assert secret not in json.dumps(played)
        cluster.play_quietly(NODES, "--limit", "bbb3")
        assert (node(cluster, "bbb3")["admin_state"], node(cluster, "bbb3")["weight"]) == ("draining", 1)
    finally:
        cluster.on("lb1", "balancer", "node", "enable", "bbb3")


def test_a_removed_node_is_registered_and_enabled_again(cluster: Cluster) -> None:
    cluster.on("lb1", "balancer", "node", "remove", "--force", "bbb2")
    cluster.play_quietly(NODES, "--limit", "bbb2")
    again = node(cluster, "bbb2")
    assert (again["admin_state"], again["observed_state"]) == ("enabled", "online")
