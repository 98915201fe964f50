import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from acceptance.support import environment as suite
from lab import acceptance_environment, inventory, simulated_nodes
from lab.errors import LabError
from lab.state import Lab
from lab.topology import Topology


def _deploy_secrets(lab: Lab, default_topology: Topology) -> None:
    """Write the vault file with the front ends' secrets, as the secrets playbook does."""
    inventory.write(lab, default_topology)
    vault = inventory.vault_file(lab)
    vault.write_text(yaml.safe_dump({"balancer_secrets": ["tenant-secret-1", "tenant-secret-2"]}))
    program = Path(sys.executable).with_name("ansible-vault")
    password = inventory.vault_password_file(lab)
    subprocess.run([program, "encrypt", "--vault-password-file", password, vault], check=True, capture_output=True)


def test_the_acceptance_suite_accepts_the_file(
    paper_lab: Lab, default_topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deploy_secrets(paper_lab, default_topology)
    content = acceptance_environment.environment(paper_lab, default_topology)
    # The real command reads the state directory of real labs, which does not contain this one.
    content["secret_command"] = ["echo", acceptance_environment.secret(paper_lab)]
    path = paper_lab.directory / "acceptance.yml"
    path.write_text(yaml.safe_dump(content))
    taken = suite.load(path)
    assert taken.url == "https://bbb.paper.test/bigbluebutton/api"
    assert taken.secret == "tenant-secret-1"
    assert [node.name for node in taken.nodes] == ["bbb1", "bbb2", "bbb3"]
    assert taken.nodes[0].secret == simulated_nodes.secret_file(paper_lab, paper_lab.host("bbb1")).read_text().strip()
    assert (taken.client, taken.share, taken.disruptive) == ("simulator", "bind", True)
    assert taken.accepted_gaps == ()


def test_the_secret_command_runs_from_any_directory(paper_lab: Lab, default_topology: Topology, tmp_path: Path) -> None:
    command = acceptance_environment.environment(paper_lab, default_topology)["secret_command"]
    refused = subprocess.run(
        [*command[:1], *command[1:]], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "lab paper is not up" in refused.stderr


def test_before_the_first_deployment_the_secret_is_refused_with_the_remedy(paper_lab: Lab) -> None:
    with pytest.raises(LabError, match=r"has no secrets yet: run playbooks/site\.yml"):
        acceptance_environment.secret(paper_lab)


def test_the_suite_knows_the_poll_interval(paper_lab: Lab, default_topology: Topology) -> None:
    content = acceptance_environment.environment(paper_lab, default_topology)
    variables = inventory.group_variables(paper_lab, default_topology)
    assert content["poll_interval"] == variables["all"]["balancer_poll_interval"]
