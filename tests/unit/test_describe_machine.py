"""What bin/test says about the machine before it begins."""

import subprocess
import sys
from pathlib import Path

from tools.describe_machine import FLAGS

PROJECT = Path(__file__).parents[2]


def test_it_says_what_may_decide_over_the_tests() -> None:
    command = [sys.executable, "-m", "tools.describe_machine"]
    environment = {"TZ": "Asia/Kolkata", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    found = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert list(found) == ["processor", "kernel", "memory", "free space", "NFS", "IPv6", "settings"]
    assert "/dev/shm" in found["free space"]
    assert "time zone IST (+0530), encoding utf-8" in found["settings"].replace("UTF", "utf")
    present = set(Path("/proc/cpuinfo").read_text().split())
    assert [flag for flag in FLAGS if f", {flag}" in found["processor"].replace("flags: ", "flags: , ")] == [
        flag for flag in FLAGS if flag in present
    ]
