"""Running programs: one way to call them, one way to wait for something they did."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.errors import LabError


def run(argv: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 600) -> str:
    """Run a program and return what it printed.

    Raises LabError with the program's own words when it fails or takes longer than `timeout` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed; bin/packages names the packages the lab needs") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)}: no end after {timeout:g} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done.stdout


def wait_until(holds: Callable[[], bool], *, what: str, within: float, every: float = 0.2) -> None:
    """Return as soon as `holds()` is true; LabError naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() >= deadline:
            raise LabError(f"{what}: not within {within:g} s")
        time.sleep(every)
