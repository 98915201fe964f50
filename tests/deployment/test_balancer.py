"""The effects of the role balancer on a deployed host."""

import json

import pytest

from tests.deployed_cluster import DeployedCluster

pytestmark = pytest.mark.lab
PROCESSES = ("web", "poller", "importer")


def stat(cluster: DeployedCluster, path: str) -> str:
    """Mode, owner and group of a path on the balancer host."""
    return cluster.on("lb1", "stat", "--format=%a,%U,%G", path).strip()


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_runs_and_comes_back_at_boot(cluster: DeployedCluster, process: str) -> None:
    properties = ("ActiveState", "UnitFileState", "User")
    shown = cluster.on("lb1", "systemctl", "show", f"balancer-{process}.service", f"--property={','.join(properties)}")
    assert sorted(shown.split()) == ["ActiveState=active", "UnitFileState=enabled", "User=bbb-fleet"], shown


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_can_gain_rights_or_write_the_system(cluster: DeployedCluster, process: str) -> None:
    names = "NoNewPrivileges,ProtectSystem,CapabilityBoundingSet"
    shown = cluster.on("lb1", "systemctl", "show", f"balancer-{process}.service", f"--property={names}")
    assert sorted(shown.split()) == ["CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict"], shown


def test_the_settings_are_readable_by_the_balancer_alone(cluster: DeployedCluster) -> None:
    assert stat(cluster, "/etc/bbb-fleet/balancer.env") == "640,root,bbb-fleet"


def test_only_the_edge_can_use_the_socket(cluster: DeployedCluster) -> None:
    assert stat(cluster, "/run/bbb-fleet/web.sock") == "660,bbb-fleet,www-data"


def test_the_schema_is_that_of_the_release(cluster: DeployedCluster) -> None:
    answer = json.loads(cluster.on("lb1", "balancer", "database", "check", "--format", "json"))
    assert answer["current"] is True
    assert answer["pending"] == []


def test_the_command_leaves_no_file_owned_by_root(cluster: DeployedCluster) -> None:
    cluster.on("lb1", "balancer", "node", "list")
    found = cluster.on("lb1", "find", "/var/lib/bbb-fleet", "-maxdepth", "1", "-type", "f", "-user", "root")
    assert found == ""


def test_requests_wait_while_the_web_process_restarts(cluster: DeployedCluster) -> None:
    cluster.on("lb1", "systemctl", "stop", "balancer-web.service")
    ask = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1/readyz').read().decode())"
    assert json.loads(cluster.on("lb1", f'python3 -c "{ask}"'))["ready"] is True
