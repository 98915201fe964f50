"""Real hosts for the roles, and functions to run playbooks on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
#: The stages that these tests run.
STAGES = ("secrets", "storage", "database", "cache")
VAULT_PASSWORD = "a vault password for tests"
#: Settings for a lab without kernel NFS and without 20 GB of disk.
LAB_SETTINGS: dict[str, Any] = {
    "nfs_client_source_type": "bind",
    "nfs_server_type": "none",
    "nfs_server_min_size_gb": 1,
    "nfs_server_min_free_gb": 1,
    "postgresql_memory_mb": 512,
    "postgresql_min_free_gb": 1,
}


@dataclass
class Run:
    """The result of one run of ansible-playbook."""

    status: int
    output: str
    stats: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, int]:
        """Number of changed tasks by host, without hosts that have none."""
        return {host: counts["changed"] for host, counts in self.stats.items() if counts["changed"]}


@dataclass
class Fleet:
    """An inventory directory, and runs of ansible-playbook with it."""

    inventory: Path
    #: Verbose output of the runs, with diffs.
    shown: str = ""

    @property
    def vault_file(self) -> Path:
        """The file with the generated secrets."""
        return self.inventory / "group_vars" / "all" / "vault.yml"

    def settings(self, **values: Any) -> None:
        """Set variables for all hosts, in place of those of an earlier call."""
        path = self.inventory / "group_vars" / "all" / "zz_test.yml"
        path.write_text(yaml.safe_dump(values))

    def secrets(self) -> dict[str, Any]:
        """The generated secrets, decrypted."""
        return yaml.safe_load(vault().decrypt(self.vault_file.read_bytes())) or {}

    def run(self, *stages: str, options: tuple[str, ...] = (), machine: bool = True) -> Run:
        """Run stages. With ``machine`` the result has counts, otherwise the output is the default one."""
        imports = [{"import_playbook": str(ROOT / "playbooks" / f"{stage}.yml")} for stage in stages]
        playbook = self.inventory.parent / "stages.yml"
        playbook.write_text(yaml.safe_dump(imports))
        password = self.inventory.parent / "vault-password"
        password.write_text(VAULT_PASSWORD + "\n")
        done = subprocess.run(
            [str(ANSIBLE), "-i", str(self.inventory), *options, str(playbook)],
            cwd=ROOT,
            env=os.environ
            | {"ANSIBLE_VAULT_PASSWORD_FILE": str(password), "ANSIBLE_NOCOLOR": "1"}
            | ({"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"} if machine else {}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        output = done.stdout + done.stderr
        stats = json.loads(done.stdout[done.stdout.index("{\n") :])["stats"] if machine and done.stdout else {}
        return Run(done.returncode, output, stats)


def vault() -> VaultLib:
    """Encrypts and decrypts vault files with the tests' password."""
    return VaultLib([("default", VaultSecret(VAULT_PASSWORD.encode()))])


def copy_of_the_example(directory: Path) -> Fleet:
    """The example inventory, copied as by an operator."""
    shutil.copytree(ROOT / "inventory.example", directory / "inventory")
    return Fleet(directory / "inventory")


@dataclass
class LabFleet(Fleet):
    """A fleet on real hosts."""

    lab: str = ""

    def host(self, name: str) -> Host:
        """A testinfra host, as root."""
        all_hosts = yaml.safe_load((self.inventory / "hosts.yml").read_text())["all"]
        return testinfra.get_host(
            f"ssh://{all_hosts['vars']['ansible_user']}@{all_hosts['hosts'][name]['ansible_host']}",
            ssh_identity_file=all_hosts["vars"]["ansible_ssh_private_key_file"],
            ssh_extra_args=all_hosts["vars"]["ansible_ssh_common_args"],
            sudo=True,
        )

    def command(self, *words: str) -> None:
        """Run a command of the lab."""
        lab_command(self.lab, *words)


def lab_command(lab: str, *words: str) -> None:
    """Run ``python -m lab``; its output is shown if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=ROOT,
        env=os.environ | {"BBB_FLEET_LAB": lab},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lab_fleet(lab: str, directory: Path) -> Iterator[LabFleet]:
    """Start three fresh hosts, yield them with an inventory of the lab, and stop them."""
    lab_command(lab, "down")
    try:
        yield _started(lab, directory)
    finally:
        lab_command(lab, "down")


def _started(lab: str, directory: Path) -> LabFleet:
    lab_command(lab, "up", "storage1", "db1", "lb1")
    fleet = LabFleet(copy_of_the_example(directory).inventory, lab=lab)
    shutil.copy(Path("/var/lib/bbb-fleet-lab") / lab / "inventory" / "hosts.yml", fleet.inventory / "hosts.yml")
    fleet.settings(**LAB_SETTINGS)
    return fleet


@pytest.fixture
def example(tmp_path: Path) -> Fleet:
    """The example inventory, for tests without hosts."""
    return copy_of_the_example(tmp_path)
