"""The process that makes a share hang runs outside of the lab's hosts; it is found by its pid file."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lab.command import wait_until
from lab.faults import hanging_share

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that wait forever, with a word in their command lines."""
    running: list[subprocess.Popen[bytes]] = []

    def run(word: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", "import signal; signal.pause()", word]
        running.append(subprocess.Popen(command))
        # For a moment after the start the kernel shows no command line.
        wait_until(lambda: word in psutil.Process(running[-1].pid).cmdline(), what="the process runs", within=20)
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_all_held_shares_are_released(start: Start, tmp_path: Path) -> None:
    holders = {name: start(hanging_share.HELD) for name in ("lb1", "lb2")}
    for name, process in holders.items():
        (tmp_path / f"{name}.hanging").write_text(str(process.pid))
    hanging_share.let_go(tmp_path)
    assert [process.wait(10) for process in holders.values()] == [-9, -9]
    assert list(tmp_path.iterdir()) == []


def test_one_hosts_share_is_released_alone(start: Start, tmp_path: Path) -> None:
    held, other = start(hanging_share.HELD), start(hanging_share.HELD)
    (tmp_path / "lb1.hanging").write_text(str(held.pid))
    (tmp_path / "lb11.hanging").write_text(str(other.pid))
    hanging_share.let_go(tmp_path, "lb1")
    assert held.wait(10) == -9
    assert other.poll() is None


def test_a_process_that_reuses_the_id_is_left_alone(start: Start, tmp_path: Path) -> None:
    stranger = start("another-program")
    (tmp_path / "lb1.hanging").write_text(str(stranger.pid))
    hanging_share.let_go(tmp_path)
    assert psutil.Process(stranger.pid).is_running()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_done_without_a_lab(tmp_path: Path) -> None:
    hanging_share.let_go(tmp_path / "absent")
