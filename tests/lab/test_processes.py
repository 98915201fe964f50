import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import image, processes
from lab.errors import LabError


def test_a_runner_is_found_by_the_directory_it_was_started_from(tmp_path: Path) -> None:
    with _runner(tmp_path / "host1") as pid:
        assert processes.runners(tmp_path / "host1") == [pid]


def test_a_host_whose_name_has_the_same_prefix_is_another_host(tmp_path: Path) -> None:
    with _runner(tmp_path / "host10"):
        assert processes.runners(tmp_path / "host1") == []


def test_another_program_that_names_the_directory_is_left_alone(tmp_path: Path) -> None:
    with _runner(tmp_path / "host1", name="editor"):
        assert processes.everything(tmp_path / "host1") == []


def test_a_process_that_does_not_end_is_an_error_that_names_the_host(tmp_path: Path) -> None:
    with _runner(tmp_path / "host1"), pytest.raises(LabError, match="host1 ends: not within"):
        processes.await_end(tmp_path / "host1", within=0.3)


def test_signals_reach_the_processes_and_gone_ones_do_no_harm(tmp_path: Path) -> None:
    with _runner(tmp_path / "host1") as pid:
        processes.signal_all([pid], signal.SIGKILL)
        processes.await_end(tmp_path / "host1", within=10)
    processes.signal_all([pid], signal.SIGKILL)


@contextmanager
def _runner(directory: Path, name: str = "systemd-nspawn", root: Path = Path("/")) -> Iterator[int]:
    """A process with the command line of one that runs a host, and with a root directory."""
    code = f"import os, sys; os.chroot('{root}'); print('here', flush=True); sys.stdin.read()"
    arguments = [name, "-c", code if root != Path("/") else code.replace(f"os.chroot('{root}'); ", "")]
    arguments.append(f"--directory={directory}/root")
    with subprocess.Popen(
        arguments, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.lab
def test_leftovers_of_a_killed_build_are_ended_and_removed(tmp_path: Path) -> None:
    draft, below = tmp_path / ".base.draft", tmp_path / "below"
    for path in (draft, below / "bin", *(tmp_path / f".base.draft.{part}" for part in ("root", "work"))):
        path.mkdir(parents=True)
    image.mount(tmp_path / ".base.draft.root", draft, tmp_path / ".base.draft.work", [below])
    # A process that was started in the file system and outlived its parent.
    with _runner(tmp_path / "nothing", name="builder", root=tmp_path / ".base.draft.root") as pid:
        assert processes.rooted(tmp_path / ".base.draft.root") == [pid]
        image.discard_draft(draft)
    assert [path.name for path in tmp_path.iterdir()] == ["below"]
