"""Runs actors in turn, in an order that a seed decides."""

import random
from collections.abc import Callable

from greenlet import getcurrent, greenlet


class Schedule:
    """Deterministic: one actor runs at a time, and only ``step`` switches to another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps = 0

    def run(self, *actors: Callable[[], object]) -> None:
        """Run until all have ended. An exception of an actor is raised here at once."""
        hub = getcurrent()
        waiting = [greenlet(actor, parent=hub) for actor in actors]
        while waiting:
            chosen = self.random.choice(waiting)
            chosen.switch()
            if chosen.dead:
                waiting.remove(chosen)

    def step(self) -> None:
        """Let others run; does nothing outside of ``run``."""
        self.steps += 1
        if (hub := getcurrent().parent) is not None:
            hub.switch()
