"""The tests' way to wait for something: observe it again and again until it is true, or fail at a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def until(observe: Callable[[], T], within: float = 40.0, every: float = 0.05) -> T:
    """Return the first true observation; AssertionError with the last one after `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := observe()):
        assert time.monotonic() < deadline, f"after {within:g} s: last saw {seen!r}"
        time.sleep(every)
    return seen


async def until_async(
    observe: Callable[[], Awaitable[T]] | Callable[[], T], within: float = 40.0, every: float = 0.02
) -> T:
    """The same in an event loop, which goes on between two observations; `observe` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        seen = observe()
        result: T = await seen if inspect.isawaitable(seen) else seen  # type: ignore[assignment]
        if result:
            return result
        assert time.monotonic() < deadline, f"after {within:g} s: last saw {result!r}"
        await asyncio.sleep(every)
