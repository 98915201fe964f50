"""Runs a real lab from tests, and finds what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class RealLab:
    """`python -m lab` for one lab."""

    name: str

    @property
    def directory(self) -> Path:
        return Path("/var/lib/bbb-fleet-lab") / self.name

    def __call__(self, *arguments: str) -> str:
        """Run a lab command and return its output; AssertionError with that output if it fails."""
        done = subprocess.run(self.command(*arguments), **self._options(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"lab {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a lab command without waiting for it."""
        return subprocess.Popen(self.command(*arguments), **self._options(), stdout=subprocess.DEVNULL)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "lab", *arguments]

    def status(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self("status", "--format", "json"))
        return content

    def on(self, host: str, command: str) -> str:
        """Run a shell command on a host."""
        return self("run", host, "--", command).strip()

    def ansible(self, *arguments: str) -> str:
        """Run `ansible` with the lab's inventory."""
        program = Path(sys.executable).with_name("ansible")
        done = subprocess.run(
            [program, "-i", self.directory / "inventory", *arguments],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def left_overs(self) -> list[str]:
        """Everything of the lab on this machine: files, processes, links, rules, mounts, names and control groups."""
        found = [str(self.directory)] if self.directory.exists() else []
        found += [f"process {line}" for line in _processes() if f"bbb-fleet-lab/{self.name}/" in line]
        links = json.loads(_output("ip", "-json", "link"))
        names = [name for link in links for name in (link["ifname"], *link.get("altnames", ()))]
        found += [f"link {name}" for name in names if name == f"bf-{self.name}" or name.startswith(f"vb-{self.name}-")]
        found += [
            f"rule {line}" for line in _output("nft", "list", "tables").splitlines() if line.endswith(f"-{self.name}")
        ]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line}" for line in mounts if f"bbb-fleet-lab/{self.name}/" in line]
        found += [f"name {line}" for line in Path("/etc/hosts").read_text().splitlines() if f" {self.name}" in line]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/bbb-fleet-lab/{self.name}-*")]
        return found

    def _options(self) -> dict[str, Any]:
        return {"cwd": PROJECT, "env": {**os.environ, "BBB_FLEET_LAB": self.name}}


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a lab command as a crash would."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def _processes() -> list[str]:
    """Command lines and root file systems of all processes except zombies, which have neither."""
    lines = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            root = next(line for line in (entry / "mountinfo").read_text().splitlines() if line.split()[4] == "/")
        except (OSError, StopIteration):
            continue
        lines.append(f"{entry.name}: {command} on {root}")
    return lines


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
