"""The days on which placement is replayed: invented, but always the same for one seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Meeting:
    """A meeting with its future; a rule sees its number, its room's last peak and the users so far."""

    number: int
    start: float  #: time of its create, in seconds since the beginning
    length: float  #: seconds
    users: int  #: at its peak
    fill: float  #: seconds until all users have joined
    peak: int = 0  #: of the room's previous meeting; 0: the room is new

    def present(self, now: float) -> int:
        """Users in it; they join at a constant rate."""
        age = now - self.start
        return int(self.users * min(1.0, age / self.fill)) if 0 <= age < self.length else 0


@dataclass(frozen=True)
class Day:
    """The nodes' weights and the meetings of a day."""

    name: str
    weights: Sequence[float]
    meetings: Sequence[Meeting]
    drained: tuple[int, float] | None = None  #: index of a node, and the time


def _size(chance: random.Random) -> int:
    """Mostly seminars, some talks of two, a few lectures."""
    kind = chance.random()
    if kind < 0.35:
        return chance.randint(1, 4)
    return chance.randint(8, 35) if kind < 0.92 else chance.randint(60, 250)


def _known(chance: random.Random, users: int, share: float) -> int:
    """The peak of the room's last meeting for a share of the rooms, 0 for the other rooms."""
    return max(1, round(users * chance.uniform(0.75, 1.25))) if chance.random() < share else 0


def university(name: str, weights: Sequence[float], *, classes: int, hours: int, seed: int, drain: bool = False) -> Day:
    """Classes that start around the hour, and some talks in between; two rooms in three are known."""
    chance = random.Random(f"{name} {seed}")
    found: list[Meeting] = []
    for hour in range(hours):
        for turn in range(classes):
            on_the_hour = turn < classes * 0.8
            start = hour * 3600 + (max(0.0, chance.gauss(900, 150)) if on_the_hour else chance.uniform(0, 3500))
            users = _size(chance)
            peak = _known(chance, users, 2 / 3)
            length = chance.uniform(2400, 5400) if on_the_hour else chance.uniform(600, 3000)
            found.append(Meeting(len(found), start, length, users, chance.uniform(120, 600), peak))
    drained = (len(weights) - 1, hours * 1800.0) if drain else None
    return Day(name, weights, found, drained)


def flash(name: str, weights: Sequence[float], *, meetings: int, seed: int) -> Day:
    """All meetings within 20 seconds, in unknown rooms."""
    chance = random.Random(f"{name} {seed}")
    found = [
        Meeting(number, 60 + chance.uniform(0, 20), 3600, _size(chance), chance.uniform(60, 300))
        for number in range(meetings)
    ]
    return Day(name, weights, found)


def days(seed: int, scale: float = 1.0) -> list[Day]:
    """One day of each kind. `scale` multiplies the number of meetings; the baseline has 1."""

    def count(number: int) -> int:
        return max(8, round(number * scale))

    even, uneven = [1.0] * 10, [1.0] * 6 + [2.0] * 3 + [4.0]
    return [
        university("university", even, classes=count(120), hours=6, seed=seed),
        university("unequal nodes", uneven, classes=count(180), hours=6, seed=seed),
        university("drain at noon", even, classes=count(120), hours=6, seed=seed, drain=True),
        flash("flash crowd", even, meetings=count(400), seed=seed),
    ]
