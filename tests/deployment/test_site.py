"""site.yml on real hosts: what it leaves, and that it leaves it alone the second time."""

import json

import pytest

from tests.cluster import SITE, Cluster, changes

pytestmark = pytest.mark.lab


def test_every_node_is_enabled_and_online(cluster: Cluster) -> None:
    nodes = json.loads(cluster.on("lb1", "balancer", "node", "list", "--format", "json"))["nodes"]
    assert {node["name"]: (node["admin_state"], node["observed_state"]) for node in nodes} == dict.fromkeys(
        ("bbb1", "bbb2", "bbb3"), ("enabled", "online")
    )


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    assert changes(cluster.play_quietly(SITE)) == {}


def test_check_mode_is_clean_on_a_deployed_site(cluster: Cluster) -> None:
    assert changes(cluster.play_quietly(SITE, "--check", "--diff")) == {}


def test_a_later_run_does_not_undo_an_operator(cluster: Cluster) -> None:
    cluster.on("lb1", "balancer", "node", "drain", "bbb3")
    try:
        assert changes(cluster.play_quietly(SITE)) == {}
        node = json.loads(cluster.on("lb1", "balancer", "node", "show", "bbb3", "--format", "json"))["node"]
        assert node["admin_state"] == "draining"
    finally:
        cluster.on("lb1", "balancer", "node", "enable", "bbb3")


def test_the_cluster_passes_its_acceptance(cluster: Cluster) -> None:
    cluster.play("playbooks/acceptance.yml")
