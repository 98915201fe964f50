"""What a run changed is put back, whatever became of the cluster meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from acceptance.support.environment import load
from acceptance.support.hosts import Hosts
from acceptance.support.journal import Journal
from acceptance.support.operator import NODE_STATE, Operator

#: An operator's command that works for one node, fails for another, and says so as ours does.
ENABLE = ["sh", "-c", 'case "$1" in bbb3) echo "$1: refused" >&2; exit 1;; *) echo "$1" >> enabled;; esac', "sh"]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def operator(tmp_path: Path, journal: Journal) -> Operator:
    """Acts on a balancer that knows bbb1, bbb2 and bbb3."""
    known = [
        {"name": name, "url": "", "admin_state": "disabled", "observed_state": "online"}
        for name in ("bbb1", "bbb2", "bbb3")
    ]
    (tmp_path / "nodes.json").write_text(json.dumps({"version": 1, "nodes": known}))
    nodes = [
        {"name": f"bbb{number}", "url": f"https://bbb{number}.test/bigbluebutton/api", "secret": f"s{number}"}
        for number in (1, 2, 3)
    ]
    path = tmp_path / "environment.yml"
    path.write_text(
        yaml.safe_dump(
            {
                **{"version": 1, "name": "test", "url": "https://bbb.test/bigbluebutton/api", "secret": "s"},
                **{"nodes": nodes, "client": "simulator", "share": "bind", "disruptive": True},
                **{"poll_interval": 1, "record_seconds": 1, "publishing_deadline": 1},
                **{"owner": "", "rollback_point": "", "connector_version": ""},
                "operator": {
                    "run_on": "controller",
                    "node_list": ["cat", "nodes.json"],
                    "node_enable": [*ENABLE, "{node}"],
                    "node_drain": ["false"],
                    "node_disable": ["sh", "-c", 'echo "balancer: no node is named $1" >&2; exit 1', "sh", "{node}"],
                },
            }
        )
    )
    environment = load(path)
    return Operator(environment, Hosts(environment), journal)


def enabled(tmp_path: Path) -> list[str]:
    path = tmp_path / "enabled"
    return path.read_text().split() if path.exists() else []


def test_one_node_that_cannot_be_put_back_keeps_no_other_waiting(
    operator: Operator, journal: Journal, tmp_path: Path
) -> None:
    for name in ("bbb1", "bbb3", "bbb2"):
        journal.will_change(NODE_STATE, name, "enabled")
    with pytest.raises(AssertionError, match=r"node bbb3 could not be put back to enabled: .*bbb3: refused"):
        operator.put_back()
    assert enabled(tmp_path) == ["bbb2", "bbb1"]
    assert operator.changed() == {"bbb3"}


def test_a_node_that_was_removed_meanwhile_is_let_go(operator: Operator, journal: Journal) -> None:
    """Else every run from now on would fail, until somebody edits the journal by hand."""
    journal.will_change(NODE_STATE, "bbb9", "disabled")
    assert operator.put_back() == ["node bbb9 is no longer known to the balancer"]
    assert not journal.path.exists()


def test_what_an_earlier_run_left_is_no_fault_of_a_scenario(operator: Operator, journal: Journal) -> None:
    journal.will_change(NODE_STATE, "bbb3", "enabled")
    left = operator.changed()
    journal.will_change(NODE_STATE, "bbb1", "enabled")
    assert operator.put_back(leaving=left) == ["node bbb1 is enabled again"]
    assert operator.changed() == {"bbb3"}
