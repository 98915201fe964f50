"""Writes a lab's Ansible inventory: inventory.example, filled in as its README describes.

The hosts and the values that an operator would change come from the topology and the lab's directory. A vault file that
Ansible has created in it is kept.
"""

import secrets
import shutil
from pathlib import Path
from typing import Any

import yaml

from lab import certificates, image, ssh, state
from lab.state import Host, Lab
from lab.topology import Topology

EXAMPLE = Path(__file__).parent.parent / "inventory.example"
GROUPS = ("storage", "database", "cache", "balancer", "edge", "nodes")
HEADER = "# Written by `python -m lab up` from lab/topology.yml; changes here are lost.\n"
# Ansible reads a group's files in alphabetical order, and the last one wins.
LAB_FILE = "zz_lab.yml"


def directory(lab: Lab) -> Path:
    return lab.directory / "inventory"


def vault_password_file(lab: Lab) -> Path:
    return lab.directory / "vault-password"


def vault_file(lab: Lab) -> Path:
    """The file that the secrets playbook creates."""
    return directory(lab) / "group_vars/all/vault.yml"


def hosts(lab: Lab, topology: Topology) -> dict[str, Any]:
    """The content of the inventory's hosts.yml."""
    connection = {
        "ansible_user": image.OPERATOR,
        "ansible_ssh_private_key_file": str(ssh.key_file(lab)),
        "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={ssh.known_hosts_file(lab)}",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    members: dict[str, Any] = {group: {"hosts": {host.name: {} for host in lab.in_group(group)}} for group in GROUPS}
    every = {host.name: _host_variables(lab, host, topology) for host in lab.hosts}
    return {"all": {"vars": connection, "hosts": every, "children": members}}


def group_variables(lab: Lab, topology: Topology) -> dict[str, dict[str, Any]]:
    """Group -> variables in which this lab differs from inventory.example."""
    found = {group: dict(variables) for group, variables in topology.variables.items()}
    everywhere = found.setdefault("all", {})
    everywhere["balancer_public_url"] = f"https://{lab.public_host}"
    everywhere["base_node_ca_certificate"] = certificates.authority(lab).certificate.read_text()
    everywhere["balancer_node_ca_file"] = "/etc/bbb-fleet/node-ca.pem"
    everywhere.update(topology.share_variables[lab.share])
    everywhere["nfs_server_spool_hosts"] = [host.name for host in _nodes_with_nfs(lab)]
    edge = certificates.of_edge(lab)
    found.setdefault("edge", {}).update(
        nginx_certificate_file=str(edge.certificate), nginx_certificate_key_file=str(edge.key)
    )
    return found


def write(lab: Lab, topology: Topology) -> None:
    """Write the inventory into the lab's directory; an existing vault file is kept."""
    shutil.copytree(EXAMPLE / "group_vars", directory(lab) / "group_vars", dirs_exist_ok=True)
    _write_yaml(directory(lab) / "hosts.yml", hosts(lab, topology))
    for group, variables in group_variables(lab, topology).items():
        _write_yaml(directory(lab) / "group_vars" / group / LAB_FILE, variables)
    if not vault_password_file(lab).exists():
        state.write_atomically(vault_password_file(lab), secrets.token_urlsafe(24) + "\n")


def _host_variables(lab: Lab, host: Host, topology: Topology) -> dict[str, Any]:
    variables: dict[str, Any] = {"ansible_host": host.address}
    if host.machine == "uml":
        variables.update(topology.uml_variables)
    if host in _nodes_with_nfs(lab):
        variables["bbb_node_transport"] = "nfs"
    return variables


def _nodes_with_nfs(lab: Lab) -> list[Host]:
    """Nodes that hand recordings over by NFS: the first one, if the lab shares by NFS."""
    return lab.in_group("nodes")[:1] if lab.share == "nfs" else []


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state.write_atomically(path, HEADER + yaml.safe_dump(content, sort_keys=False))
