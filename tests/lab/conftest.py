"""Fixtures: a lab that is only described, in a separate state directory."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab import simulated_nodes, ssh, state, topology
from lab.state import Lab
from lab.topology import Topology


@pytest.fixture
def default_topology() -> Topology:
    return topology.load()


@pytest.fixture
def paper_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_topology: Topology) -> Lab:
    """The default hosts with keys and secrets; none of them runs."""
    monkeypatch.setattr(state, "STATE_ROOT", tmp_path / "state")
    lab = Lab("paper", "paper.test", "bbb", "10.99.0.0/24").with_hosts(
        default_topology.host_names({}), default_topology
    )
    lab.save()
    ssh.make_keys(lab)
    for host in lab.in_group("nodes"):
        simulated_nodes.make_secret(lab, host)
    return lab


@pytest.fixture
def paper_lab_with_nfs(paper_lab: Lab, default_topology: Topology) -> Lab:
    """The same, with the hosts that need NFS in User Mode Linux."""
    empty = replace(paper_lab, hosts=(), share="nfs")
    return empty.with_hosts(default_topology.host_names({}), default_topology, uml=True)
