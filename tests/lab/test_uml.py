"""User Mode Linux on any processor: with the one at hand, and with AMX's XSAVE state as amx_kernel.c imitates it."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from lab import kernel, processes, uml, uml_probe
from tests.lab.real_lab import PROJECT, RealLab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="User Mode Linux is for x86"),
]
HERE = Path(__file__).parent
LIBRARY = ("-shared", "-fPIC")


def compiled(source: str, target: Path, *options: str) -> str:
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *options, "-o", target, HERE / source], check=True)
    return str(target)


@pytest.fixture
def amx(tmp_path: Path) -> str:
    """A library to preload: ptrace on a kernel whose processor has AMX."""
    return compiled("amx_kernel.c", tmp_path / "amx.so", *LIBRARY)


@pytest.fixture
def hopeless(tmp_path: Path) -> str:
    """A library to preload: ptrace on a kernel where no User Mode Linux program runs."""
    return compiled("amx_kernel.c", tmp_path / "hopeless.so", "-DREFUSE", *LIBRARY)


@pytest.fixture(autouse=True)
def _probed_anew() -> Iterator[None]:
    uml_probe.obstacle.cache_clear()
    yield
    uml_probe.obstacle.cache_clear()


@pytest.fixture
def possible() -> None:
    """Skips a test that boots a kernel, if this machine boots none."""
    if obstacle := uml_probe.obstacle():
        pytest.skip(f"no User Mode Linux on this machine, because {obstacle}")
    uml_probe.obstacle.cache_clear()


@pytest.mark.usefixtures("possible")
def test_it_boots_with_amx(amx: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", amx)
    assert uml_probe.obstacle() is None


@pytest.mark.usefixtures("possible")
def test_without_the_preload_amx_makes_it_panic(amx: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, Debian's kernel program asks for the size of the state, and uml_ptrace.c can go."""
    monkeypatch.setattr(uml, "kernel_environment", lambda *_, **__: {"LD_PRELOAD": amx})
    obstacle = uml_probe.obstacle()
    assert obstacle is not None
    assert obstacle.startswith(
        "User Mode Linux runs no program here: Kernel panic - not syncing: Attempted to kill init!"
    )
    assert "put_fp_registers" in uml_probe.LOG.read_text()


def test_a_part_of_the_state_is_written_and_what_lies_beyond_is_cleared(amx: str, tmp_path: Path) -> None:
    program = compiled("xstate_write.c", tmp_path / "write")
    alone = subprocess.run([program], env={"LD_PRELOAD": amx}, capture_output=True, text=True, check=False)
    assert (alone.returncode, alone.stderr) == (1, "PTRACE_SETREGSET: Bad address\n")
    preload = str(uml.build(uml.PTRACE, ".so", *LIBRARY))
    subprocess.run([program], env={"LD_PRELOAD": f"{preload}:{amx}"}, check=True)


@pytest.mark.usefixtures("possible")
def test_without_room_in_shared_memory_hosts_keep_their_memory_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uml.kernel_environment(tmp_path, machines=0)["TMPDIR"] == "/dev/shm"
    assert uml.kernel_environment(tmp_path, machines=1_000_000)["TMPDIR"] == str(tmp_path)
    monkeypatch.setattr(uml, "SHARED_MEMORY", tmp_path / "missing")
    assert uml_probe.obstacle() is None


def test_variables_reach_the_program_at_each_start_and_nothing_else(tmp_path: Path) -> None:
    script = f'echo "$0 $WORDS" >> {tmp_path}/starts; [ $(wc -l < {tmp_path}/starts) -ge 2 ] || exit 133'
    command = processes.kept(["bash", "-c", script, "x=y"], name="host", environment={"WORDS": "two words"})
    subprocess.run(command, check=True)
    assert (tmp_path / "starts").read_text() == "x=y two words\n" * 2


@pytest.mark.skipif(kernel.has_nfs(), reason="this machine's kernel has NFS: no host runs in User Mode Linux")
def test_where_it_does_not_run_up_says_why_and_shares_by_a_bind_mount(
    hopeless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", hopeless)
    lab = RealLab("testnonfs")
    lab("down")
    try:
        for _ in range(2):
            said = lab("up", "--nfs", "storage1").splitlines()[0]
            assert said.startswith("NFS is not possible on this machine, because its kernel has no NFS, and User")
            assert said.endswith(" A bind mount shares the recordings tree instead.")
        status = lab.status()
        assert (status["share"], [host["machine"] for host in status["hosts"]]) == ("bind", ["nspawn"])
        assert lab.on("storage1", "findmnt --noheadings --output TARGET /srv/bbb-fleet") == "/srv/bbb-fleet"
    finally:
        lab("down")


@pytest.mark.skipif(kernel.has_nfs(), reason="this machine's kernel has NFS: no host runs in User Mode Linux")
def test_where_it_does_not_run_tests_that_need_nfs_are_skipped_with_the_reason(
    hopeless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", hopeless)
    chosen = ["tests/deployment/test_nfs.py", "tests/lab/test_real_nfs.py"]
    # The plan alone: if they were not skipped, they would deploy a cluster.
    command = [sys.executable, "-m", "pytest", "-rs", "--setup-plan", "-m", "nfs", *chosen]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nfs: not possible on this machine, because its kernel has no NFS, and User Mode Linux" in done.stdout
    assert " passed" not in done.stdout.splitlines()[-1]


@pytest.mark.usefixtures("possible")
def test_without_a_compiler_it_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uml.build.cache_clear()
    monkeypatch.setattr(uml.image, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert which("gcc") is None
    assert str(uml_probe.obstacle()).startswith("User Mode Linux cannot be tried: gcc is not installed; bin/packages")
