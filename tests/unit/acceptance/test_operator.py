"""Node states that a run changed are restored, even if nodes fail or disappear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acceptance.support.environment import load
from acceptance.support.hosts import Hosts
from acceptance.support.operator import NODE_STATE, Operator
from acceptance.support.undo_log import UndoLog
from tests.unit.acceptance.environment_file import content, write

#: An operator's command that fails for bbb3 and works for the others.
ENABLE = ["sh", "-c", 'case "$1" in bbb3) echo "$1: refused" >&2; exit 1;; *) echo "$1" >> enabled;; esac', "sh"]


@pytest.fixture
def undo_log(tmp_path: Path) -> UndoLog:
    return UndoLog(tmp_path / "undo-log")


@pytest.fixture
def operator(tmp_path: Path, undo_log: UndoLog) -> Operator:
    """The commands of a balancer that knows bbb1, bbb2 and bbb3."""
    known = [
        {"name": name, "url": "", "admin_state": "disabled", "observed_state": "online"}
        for name in ("bbb1", "bbb2", "bbb3")
    ]
    (tmp_path / "nodes.json").write_text(json.dumps({"version": 1, "nodes": known}))
    commands = {
        "run_on": "controller",
        "node_list": ["cat", "nodes.json"],
        "node_enable": [*ENABLE, "{node}"],
        "node_drain": ["false"],
        "node_disable": ["sh", "-c", 'echo "balancer: no node is named $1" >&2; exit 1', "sh", "{node}"],
    }
    environment = load(write(tmp_path, content(operator=commands)))
    return Operator(environment, Hosts(environment), undo_log)


def enabled(tmp_path: Path) -> list[str]:
    path = tmp_path / "enabled"
    return path.read_text().split() if path.exists() else []


def test_the_other_nodes_are_restored_if_one_fails(operator: Operator, undo_log: UndoLog, tmp_path: Path) -> None:
    for name in ("bbb1", "bbb3", "bbb2"):
        undo_log.will_change(NODE_STATE, name, "enabled")
    with pytest.raises(AssertionError, match=r"node bbb3 could not be restored to enabled: .*bbb3: refused"):
        operator.restore()
    assert enabled(tmp_path) == ["bbb2", "bbb1"]
    assert operator.changed() == {"bbb3"}


def test_a_removed_node_is_dropped_from_the_log(operator: Operator, undo_log: UndoLog) -> None:
    """Otherwise every later run would fail until an operator edits the log."""
    undo_log.will_change(NODE_STATE, "bbb9", "disabled")
    assert operator.restore() == ["node bbb9 is no longer known to the balancer"]
    assert not undo_log.path.exists()


def test_a_node_that_an_earlier_run_left_does_not_fail_a_scenario(operator: Operator, undo_log: UndoLog) -> None:
    undo_log.will_change(NODE_STATE, "bbb3", "enabled")
    unrestored = operator.changed()
    undo_log.will_change(NODE_STATE, "bbb1", "enabled")
    assert operator.restore(except_for=unrestored) == ["node bbb1 is enabled again"]
    assert operator.changed() == {"bbb3"}
