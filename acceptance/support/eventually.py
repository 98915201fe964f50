"""The suite's only way to wait: ask again until the answer is the expected one, or the deadline has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    observe: Callable[[], T],
    expected: Callable[[T], bool],
    *,
    within: float,
    otherwise: Callable[[T], str],
    every: float = 0.5,
) -> T:
    """Polls `observe` until `expected` holds and returns what was seen then.

    After `within` seconds it raises AssertionError with the deadline and `otherwise(last thing seen)`, which
    should say in plain words what is wrong and on which host.
    """
    start = time.monotonic()
    while True:
        seen = observe()
        if expected(seen):
            return seen
        if time.monotonic() - start >= within:
            raise AssertionError(f"after {within:.3g} s: {otherwise(seen)}")
        time.sleep(min(every, max(0.0, within - (time.monotonic() - start)) or every))
