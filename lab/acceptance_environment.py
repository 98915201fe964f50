"""Writes the acceptance suite's environment file for a lab, and reads the front ends' secret for it."""

import sys
from pathlib import Path
from typing import Any

import yaml

from lab import certificates, inventory, simulated_nodes, state
from lab.command import run
from lab.errors import LabError
from lab.state import Lab
from lab.topology import Topology

PROJECT = Path(__file__).parent.parent
HEADER = "# Written by `python -m lab up` for `pytest acceptance --environment`; changes here are lost.\n"


def environment(lab: Lab, topology: Topology) -> dict[str, Any]:
    """The environment file's content; acceptance/expected/example.yml explains the keys."""
    return {
        "version": 1,
        "name": f"lab-{lab.name}",
        "url": url(lab),
        # A command, because the secret does not exist before the first deployment.
        "secret_command": [
            "env",
            f"PYTHONPATH={PROJECT}",
            f"BBB_FLEET_LAB={lab.name}",
            sys.executable,
            "-m",
            "lab",
            "secret",
        ],
        "ca_file": certificates.authority(lab).certificate.name,
        "nodes": [
            {
                "name": host.name,
                "url": f"https://{lab.fqdn(host)}/bigbluebutton/api",
                "secret_file": str(simulated_nodes.secret_file(lab, host).relative_to(lab.directory)),
            }
            for host in lab.in_group("nodes")
        ],
        "inventory": inventory.directory(lab).name,
        "vault_password_file": inventory.vault_password_file(lab).name,
        "share": lab.share,
        "poll_interval": topology.variables["all"]["balancer_poll_interval"],
        **topology.acceptance,
    }


def write(lab: Lab, topology: Topology) -> Path:
    """Write acceptance.yml into the lab's directory and return its path."""
    path = lab.directory / "acceptance.yml"
    state.write_atomically(path, HEADER + yaml.safe_dump(environment(lab, topology), sort_keys=False))
    return path


def url(lab: Lab) -> str:
    """The address of the balancer's API for front ends."""
    return f"https://{lab.public_host}/bigbluebutton/api"


def secret(lab: Lab) -> str:
    """The front ends' secret, from the vault file that the first deployment created."""
    vault = inventory.vault_file(lab)
    if not vault.exists():
        raise LabError(f"lab {lab.name} has no secrets yet: run playbooks/site.yml with -i {inventory.directory(lab)}")
    viewer = Path(sys.executable).with_name("ansible-vault")
    password = inventory.vault_password_file(lab)
    content = yaml.safe_load(run([viewer, "view", "--vault-password-file", password, vault]))
    return str(content["balancer_secrets"][0])
