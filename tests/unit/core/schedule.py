"""Runs actors in turn, in an order that a seed decides, and keeps their clock and their story."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent, greenlet

BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_STEP = timedelta(milliseconds=20)


class Schedule:
    """Deterministic: one actor runs at a time, and only ``step`` switches to another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps = 0
        self.skipped = timedelta(0)  #: time in which nothing happened
        self.story: list[str] = []  #: printed if the schedule fails

    @property
    def now(self) -> datetime:
        return BEGIN + self.skipped + self.steps * _STEP

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

    def note(self, event: str) -> None:
        self.story.append(f"{self.steps:4} {event}")
