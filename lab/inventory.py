"""Writes the Ansible inventory of a lab: the same groups as inventory.example, reached over ssh as everywhere."""

from pathlib import Path
from typing import Any

import yaml

from lab import image, ssh, state
from lab.state import Lab

GROUPS = ("storage", "database", "cache", "balancer", "edge", "nodes")
HEADER = "# Written by `python -m lab up` from lab/topology.yml; changes here are lost.\n"


def hosts(lab: Lab) -> dict[str, Any]:
    """The inventory's hosts.yml as data."""
    return {
        "all": {
            "vars": {
                "ansible_user": image.OPERATOR,
                "ansible_ssh_private_key_file": str(ssh.key_file(lab)),
                "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={ssh.known_hosts_file(lab)}",
                "ansible_python_interpreter": "/usr/bin/python3",
            },
            "hosts": {host.name: {"ansible_host": host.address} for host in lab.hosts},
            "children": {group: {"hosts": {host.name: {} for host in lab.in_group(group)}} for group in GROUPS},
        }
    }


def write(lab: Lab) -> Path:
    """Write the inventory into the state directory and return where; files of others in it stay."""
    directory = lab.directory / "inventory"
    directory.mkdir(parents=True, exist_ok=True)
    text = HEADER + yaml.safe_dump(hosts(lab), sort_keys=False)
    state.write_atomically(directory / "hosts.yml", text)
    return directory
