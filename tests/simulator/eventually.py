"""Waiting for what has to come, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(observe: Callable[[], object] | Callable[[], Awaitable[object]], within: float = 30.0) -> object:
    """Repeat an observation until it is true; AssertionError with the last one seen after the deadline."""
    deadline = time.monotonic() + within
    while True:
        seen = observe()
        if inspect.isawaitable(seen):
            seen = await seen
        if seen:
            return seen
        assert time.monotonic() < deadline, f"after {within:g} s: last saw {seen!r}"
        await asyncio.sleep(0.02)
