"""Finds out whether this machine can run User Mode Linux hosts, by booting one that runs a single tiny program."""

import functools
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from lab import image, uml
from lab.command import run
from lab.errors import LabError

INIT = Path(__file__).with_name("uml_probe.c")
WORD = "probe: runs"
MEMORY = "64M"
TUN = Path("/dev/net/tun")
LOG = image.CACHE / "uml-probe.log"
# Seconds; it takes one or two on an idle machine.
TIMEOUT = 120.0


@functools.cache
def obstacle() -> str | None:
    """Why this machine can run no User Mode Linux host, to follow "because"; None if it can."""
    if os.geteuid() != 0:
        return "the lab needs root"
    if not TUN.exists():
        return f"there is no {TUN} to connect hosts in User Mode Linux"
    try:
        output = _boot()
    except LabError as error:
        return f"User Mode Linux cannot be tried: {error}"
    if WORD in output:
        return None
    LOG.write_text(output)
    return f"User Mode Linux runs no program here: {_reason(output)} ({LOG})"


def _boot() -> str:
    """Everything that the machine printed, whether or not it came as far as its program."""
    program = uml.build(INIT, "", "-static", "-nostdlib", "-fno-stack-protector")
    # Not TMPDIR: paths of sockets have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-uml-", dir=image.CACHE) as name:
        directory = Path(name)
        root, disk = directory / "root", directory / "disk.img"
        (root / "dev").mkdir(parents=True)
        (root / "init").write_bytes(program.read_bytes())
        (root / "init").chmod(0o755)
        run(["mkfs.ext4", "-q", "-F", "-d", root, disk, "2M"])
        command = uml.kernel_command(directory, MEMORY, disk, "init=/init")
        return _output(command, uml.kernel_environment(directory, machines=1))


def _output(command: list[str], environment: dict[str, str]) -> str:
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A group of its own, because a kernel that panicked leaves its helper processes behind.
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
            return output.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return f"no end after {TIMEOUT:g} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _reason(output: str) -> str:
    """The line that says why the kernel ended, else its last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it printed nothing"]
    return next((line for line in lines if "Kernel panic" in line), lines[-1])
