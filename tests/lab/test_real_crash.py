"""A lab whose `up` was killed can be taken down, and leaves nothing behind."""

from pathlib import Path

import pytest

from lab import network, processes
from lab.command import wait_until
from tests.lab.real_lab import RealLab, kill

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.mark.parametrize("moment", ["network", "first host", "booted"])
def test_a_killed_up_can_be_taken_down(moment: str) -> None:
    lab = RealLab("testcrash")
    lab("down")
    machines = lab.directory / "machines"
    reached = {
        "network": lambda: (Path("/sys/class/net") / "bf-testcrash").exists(),
        "first host": lambda: bool(processes.runners(machines / "storage1")),
        "booted": lambda: bool(processes.inits(machines / "bbb1")),
    }
    begun = lab.begin("up", "storage1", "bbb1")
    try:
        wait_until(reached[moment], what=f"up reaches {moment!r}", within=120, every=0.01)
    finally:
        kill(begun)
        lab("down")
    assert lab.left_overs() == []


def test_an_up_that_was_killed_can_be_completed() -> None:
    lab = RealLab("testcrash")
    lab("down")
    begun = lab.begin("up", "storage1")
    wait_until(
        lambda: bool(processes.runners(lab.directory / "machines/storage1")), what="the first host starts", within=120
    )
    kill(begun)
    try:
        lab("up", "storage1", "bbb1")
        assert {host["name"]: host["state"] for host in lab.status()["hosts"]} == {
            "storage1": "running",
            "bbb1": "running",
        }
    finally:
        lab("down")
    assert lab.left_overs() == []


def test_down_without_a_lab_is_no_error() -> None:
    assert "is down" in RealLab("testnever")("down")


def test_two_labs_live_side_by_side_in_subnets_of_their_own() -> None:
    one, other = RealLab("testone"), RealLab("testother")
    try:
        one("up", "bbb1")
        other("up", "bbb1")
        assert one.status()["subnet"] != other.status()["subnet"]
        one("down")
        assert one.left_overs() == []
        assert other.on("bbb1", "systemctl is-active nginx") == "active"
        assert "testother" in network.CONTROLLER_HOSTS.read_text()
    finally:
        one("down")
        other("down")
    assert other.left_overs() == []
