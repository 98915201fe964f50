import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import inventory
from lab.state import Lab
from lab.topology import Topology


@pytest.fixture
def seen(paper_lab: Lab, default_topology: Topology) -> dict[str, Any]:
    """The default lab's inventory, as Ansible reads it."""
    return _listed(paper_lab, default_topology)


def test_groups_are_those_of_the_example(seen: dict[str, Any]) -> None:
    example = yaml.safe_load((inventory.EXAMPLE / "hosts.yml").read_text())["all"]["children"]
    assert set(seen["all"]["children"]) - {"ungrouped"} == set(example) == set(inventory.GROUPS)


def test_hosts_are_in_their_groups(seen: dict[str, Any]) -> None:
    members = {group: seen[group]["hosts"] for group in inventory.GROUPS}
    assert members == {
        "storage": ["storage1"],
        "database": ["db1"],
        "cache": ["db1"],
        "balancer": ["lb1"],
        "edge": ["lb1"],
        "nodes": ["bbb1", "bbb2", "bbb3"],
    }


def test_hosts_are_reached_by_address_with_the_labs_key_and_known_host_keys(
    seen: dict[str, Any], paper_lab: Lab
) -> None:
    variables = seen["_meta"]["hostvars"]["bbb1"]
    assert variables["ansible_host"] == "10.99.0.14"
    assert variables["ansible_ssh_private_key_file"] == str(paper_lab.directory / "ssh_key")
    assert "StrictHostKeyChecking" not in variables["ansible_ssh_common_args"]
    known = (paper_lab.directory / "known_hosts").read_text()
    assert known.count("ssh-ed25519") == len(paper_lab.hosts)


def test_the_roles_get_variables_for_a_bind_mounted_share(seen: dict[str, Any]) -> None:
    variables = seen["_meta"]["hostvars"]
    assert variables["storage1"]["nfs_server_type"] == "none"
    assert variables["lb1"]["nfs_client_source_type"] == "bind"
    assert "bbb_node_transport" not in variables["bbb1"]


def test_with_nfs_the_roles_do_all_of_it(paper_lab_with_nfs: Lab, default_topology: Topology) -> None:
    variables = _listed(paper_lab_with_nfs, default_topology)["_meta"]["hostvars"]
    assert "nfs_server_type" not in variables["storage1"]
    assert "nfs_client_source_type" not in variables["lb1"]
    assert variables["storage1"]["nfs_server_spool_hosts"] == ["bbb1"]
    assert variables["bbb1"]["bbb_node_transport"] == "nfs"
    assert "bbb_node_transport" not in variables["bbb2"]


def test_the_values_an_operator_changes_are_the_labs(seen: dict[str, Any], paper_lab: Lab) -> None:
    variables = seen["_meta"]["hostvars"]["lb1"]
    assert variables["balancer_public_url"] == "https://bbb.paper.test"
    assert variables["nginx_certificate_file"] == str(paper_lab.directory / "certificates/edge.pem")
    assert variables["base_node_ca_certificate"] == (paper_lab.directory / "ca.pem").read_text()


def test_writing_it_again_keeps_the_vault_and_its_password(paper_lab: Lab, default_topology: Topology) -> None:
    inventory.write(paper_lab, default_topology)
    password = inventory.vault_password_file(paper_lab).read_text()
    inventory.vault_file(paper_lab).write_text("made by the first deployment")
    inventory.write(paper_lab, default_topology)
    assert inventory.vault_file(paper_lab).read_text() == "made by the first deployment"
    assert inventory.vault_password_file(paper_lab).read_text() == password


def _listed(lab: Lab, default_topology: Topology) -> dict[str, Any]:
    inventory.write(lab, default_topology)
    program = Path(sys.executable).with_name("ansible-inventory")
    listed = subprocess.run(
        [program, "--list", "-i", inventory.directory(lab)], capture_output=True, text=True, check=True
    )
    content: dict[str, Any] = json.loads(listed.stdout)
    return content
