"""The suite's only way to wait: repeat an observation until it is as expected or the deadline has passed."""

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
    """Calls `observe` every `every` seconds until `expected` holds for its result, and returns that result.

    After `within` seconds it raises AssertionError with the deadline and `otherwise(last result)`, which should say
    what is wrong and on which host.
    """
    start = time.monotonic()
    while True:
        observed = observe()
        if expected(observed):
            return observed
        if time.monotonic() - start >= within:
            raise AssertionError(f"after {within:.3g} s: {otherwise(observed)}")
        time.sleep(min(every, max(0.0, within - (time.monotonic() - start)) or every))
