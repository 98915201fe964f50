import json
import os

import pytest
from click.testing import CliRunner

from lab import cli, machines, network
from lab.state import Lab


def _invoke(*arguments: str, lab: str = "paper") -> tuple[int, str]:
    result = CliRunner().invoke(cli.main, arguments, env={"BBB_FLEET_LAB": lab})
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_without_root_the_error_says_why_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert _invoke("status") == (1, "Error: the lab boots hosts and makes a bridge: run it as root\n")


def test_status_of_a_lab_that_is_not_up_is_no_error() -> None:
    code, output = _invoke("status", "--format", "json", lab="neverup")
    assert code == 0
    assert json.loads(output) == {"version": 1, "lab": "neverup", "subnet": None, "share": None, "hosts": []}


def test_status_shows_how_the_tree_is_shared_and_which_hosts_are_stopped(paper_lab: Lab) -> None:
    code, output = _invoke("status", "--format", "json")
    found = json.loads(output)
    assert code == 0
    assert next(iter(found)) == "version"
    assert (found["share"], found["url"]) == ("bind", "https://bbb.paper.test/bigbluebutton/api")
    assert {host["name"]: host["state"] for host in found["hosts"]} == dict.fromkeys(
        ["storage1", "db1", "lb1", "bbb1", "bbb2", "bbb3"], "stopped"
    )


def test_an_unknown_host_is_refused_before_anything_is_made(paper_lab: Lab) -> None:
    code, output = _invoke("up", "web1", lab="other")
    assert code == 1
    assert "'web1' is no host of the topology" in output
    assert not (paper_lab.directory.parent / "other").exists()


def test_a_lab_without_nfs_is_not_turned_into_one_with(paper_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "why_no_nfs", lambda: None)
    code, output = _invoke("up", "--nfs")
    assert code == 1
    assert "lab paper is up without NFS; take it down" in output


def test_an_unknown_fault_is_refused(paper_lab: Lab) -> None:
    code, output = _invoke("break", "gravity")
    assert code == 1
    assert "no fault is called 'gravity'" in output


def test_a_half_made_lab_says_how_to_get_rid_of_it(paper_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "taken_networks", list)
    (paper_lab.directory / "lab.json").unlink()
    code, output = _invoke("up")
    assert code == 1
    assert "lab paper is half-made; take it down first" in output
