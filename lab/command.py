"""The lab's one way to run a program, and its one way to wait for a condition."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.errors import LabError


def run(argv: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 600) -> str:
    """Run a program and return its standard output.

    Raises LabError if the program is missing, fails (with its error output) or takes longer than `timeout` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed; bin/packages names the packages the lab needs") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)}: still running after {timeout:g} s") from error
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {output}")
    return done.stdout


def wait_until(holds: Callable[[], bool], *, what: str, within: float, every: float = 0.2) -> None:
    """Return as soon as `holds()` is true; raises LabError naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() >= deadline:
            raise LabError(f"{what}: not within {within:g} s")
        time.sleep(every)
