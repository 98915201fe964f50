"""Injects every fault of lab/faults.yml into a real cluster: the right scenario fails and says what is wrong where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from lab.faults import load
from lab.faults.actions import ACTIONS
from lab.faults.catalogue import Fault
from tests.deployed_cluster import PROJECT, DeployedCluster

FAULTS = load()
#: Seconds. Without a fault a recording needs a quarter of it.
PUBLISHING_DEADLINE = 40


@dataclass(frozen=True)
class Outcome:
    """The outcome of one scenario."""

    name: str
    outcome: str
    message: str


@pytest.fixture(scope="module")
def broken_cluster(cluster: DeployedCluster) -> Iterator[DeployedCluster]:
    """A deployed cluster without faults."""
    cluster.lab("mend")
    yield cluster
    cluster.lab("mend")


def test_every_fault_can_be_injected() -> None:
    """The catalogue and the code have the same names."""
    assert set(FAULTS) == set(ACTIONS)


def test_every_fault_names_scenarios_that_are_run() -> None:
    """A misspelt scenario, or one that is not run, could neither fail nor be blocked."""
    known = scenarios()
    for fault in FAULTS.values():
        run = [name for name in known if name.partition("/")[0] in (*fault.run, "clean-up")]
        assert fault.fails in run, fault.name
        assert {name.partition("/")[0] for name in run} == {*fault.run, "clean-up"}, fault.name
        idle = [pattern for pattern in fault.blocked if not any(fnmatchcase(name, pattern) for name in run)]
        assert not idle, f"{fault.name}: nothing that is run is called {idle}"


def scenarios() -> list[str]:
    """The name of every scenario and check of the suite, as in the report."""
    names = ["clean-up/everything is as it was"]
    for feature in (PROJECT / "acceptance/features").glob("*.feature"):
        names += [
            f"{feature.stem}/{name}" for name in re.findall(r"Scenario(?: Outline)?: (.+)\n", feature.read_text())
        ]
    for module in (PROJECT / "acceptance/infra").glob("test_*.py"):
        group = module.stem.removeprefix("test_")
        names += [f"infra/{group}/{name}" for name in re.findall(r"def test_(\w+)\(", module.read_text())]
    return names


@pytest.mark.lab
@pytest.mark.faults
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_right_scenario_fails(broken_cluster: DeployedCluster, fault: Fault, tmp_path: Path) -> None:
    """One scenario fails, naming cause and host. Only blocked scenarios may be not proved; all others pass."""
    broken_cluster.lab("break", fault.name)
    try:
        results = accept(broken_cluster, fault, tmp_path)
    finally:
        broken_cluster.lab("mend")
    failed = [result for result in results if result.outcome == "failed"]
    assert [result.name for result in failed] == [fault.fails], summary(failed)
    missing = [text for text in fault.names if text not in failed[0].message]
    assert not missing, f"not in the message: {missing}: {failed[0].message}"
    not_passed = [result for result in results if result.outcome not in ("failed", "passed")]
    unexpected = [one for one in not_passed if not any(fnmatchcase(one.name, pattern) for pattern in fault.blocked)]
    assert not unexpected, summary(unexpected)
    assert any(result.outcome == "passed" for result in results)


def accept(cluster: DeployedCluster, fault: Fault, report: Path) -> list[Outcome]:
    """Runs the parts of the suite that the fault names; AssertionError if the run is accepted despite the fault."""
    done = cluster.accept(*parts(fault), "-q", "-k", "not restart", environment=environment(cluster), report=report)
    assert done.returncode == 1, done.stdout + done.stderr
    results = json.loads((report / "results.json").read_text())["results"]
    return [Outcome(each["name"], each["outcome"], each["message"]) for each in results]


def parts(fault: Fault) -> list[str]:
    """The folders and modules of the features and groups that a fault names."""
    return ["acceptance/infra" if part == "infra" else f"acceptance/test_{part}.py" for part in fault.run]


def environment(cluster: DeployedCluster) -> Path:
    """The lab's environment with a shorter deadline for recordings, beside the original as paths are relative."""
    content = yaml.safe_load((cluster.directory / "acceptance.yml").read_text())
    path = cluster.directory / "acceptance-faults.yml"
    path.write_text(yaml.safe_dump({**content, "publishing_deadline": PUBLISHING_DEADLINE, "record_seconds": 4}))
    return path


def summary(results: list[Outcome]) -> str:
    return "\n".join(f"{one.outcome} {one.name}: {one.message}" for one in results) or "nothing failed"
