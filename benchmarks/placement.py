"""Does placement keep nodes even? Replays arrivals against the pure rules; no store, no socket, no clock.

Every rule sees the same meetings, polls and nodes, and places for good; then users come and go as the day says. What
counts is max/mean: the most users for its capacity that a node had, over what all had together.
"""

import heapq
import json
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from balancer.core.load import Load, Unseen, Young, load, seen
from balancer.core.nodes import AdminState, Node, ObservedState, Snapshot
from balancer.core.selection import Request, candidates

BASELINE = Path(__file__).with_name("placement_baseline.json")
#: Seconds between two polls, between two looks at the figures, and in which a meeting counts as young: the defaults.
POLL, LOOK, YOUNG = 10.0, 60.0, 900.0
#: Users expected where nothing is known: the default.
EXPECTED = 10
#: Users a node, before the ratio of a moment says anything.
ENOUGH = 50
#: How far figures may be above the baseline's: placement is deterministic, the last digit of a float may not be.
TOLERANCE = 0.005
_MORNING = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Meeting:
    """A meeting as it will be; a rule sees its number, its room's last peak, and those who have come."""

    number: int
    start: float  #: seconds since the beginning, of its create
    length: float  #: seconds
    users: int  #: at its fullest
    fill: float  #: seconds until all have come
    peak: int = 0  #: of the room's meeting before; 0: the room is new

    def present(self, now: float) -> int:
        """Users in it; they come evenly."""
        age = now - self.start
        return int(self.users * min(1.0, age / self.fill)) if 0 <= age < self.length else 0


@dataclass(frozen=True)
class Day:
    """What happens, and on which nodes."""

    name: str
    weights: Sequence[float]
    meetings: Sequence[Meeting]
    drained: tuple[int, float] | None = None  #: index of a node, and when


@dataclass
class Site:
    """The nodes at one moment, as the last poll saw them and as they are."""

    day: Day
    now: float = 0.0
    live: list[list[Meeting]] = field(default_factory=list)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    #: Scalelite's load of each node: of the last poll, and what was added since.
    counted: list[float] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live = [[] for _ in self.day.weights]
        self.counted = [0.0 for _ in self.day.weights]
        self.nodes = [
            Node(
                id=index,
                name=f"bbb{index}",
                url="https://bbb/",
                secret="-",
                admin_state=AdminState.ENABLED,
                weight=weight,
            )
            for index, weight in enumerate(self.day.weights)
        ]

    @property
    def open(self) -> list[int]:
        """Indexes of nodes that take meetings."""
        return [node.id for node in self.nodes if node.admin_state is AdminState.ENABLED]

    def drain(self, index: int) -> None:
        self.nodes[index] = replace(self.nodes[index], admin_state=AdminState.DRAINING)

    def moment(self, seconds: float) -> datetime:
        return _MORNING + timedelta(seconds=seconds)

    def poll(self) -> None:
        """Every node tells who is there."""
        for index, meetings in enumerate(self.live):
            meetings[:] = [each for each in meetings if each.start + each.length > self.now]
            participants = {str(each.number): each.present(self.now) for each in meetings}
            self.snapshots[index] = Snapshot(
                node_id=index,
                fencing=1,
                poll_started=self.moment(self.now),
                polled=self.moment(self.now),
                users=sum(participants.values()),
                video=0,
                participants=participants,
            )
            young = (15 if self.now - each.start < YOUNG else 0 for each in meetings)
            sizes = (max(least, each.present(self.now)) for least, each in zip(young, meetings, strict=True))
            self.counted[index] = sum(sizes) / self.day.weights[index]

    def users(self) -> list[int]:
        """Of each node, as they are now."""
        return [sum(each.present(self.now) for each in meetings) for meetings in self.live]


Rule = Callable[[Site, Meeting], int]


def ours(site: Site, meeting: Meeting) -> int:
    """The balancer's own rules, as a create meets them."""
    observed = dict.fromkeys(range(len(site.nodes)), ObservedState.ONLINE)
    loads = {index: _our_load(site, index) for index in range(len(site.nodes))}
    return candidates(site.nodes, observed, loads, Request())[0].node.id


def _our_load(site: Site, index: int) -> Load:
    young = [
        Young(
            node_id=index,
            internal_meeting_id=str(each.number),
            expected_users=each.peak or EXPECTED,
            placed_at=site.moment(each.start).timestamp(),
            created_at=site.moment(each.start).timestamp(),
        )
        for each in site.live[index]
        if site.now - each.start < YOUNG and each.start + each.length > site.now
    ]
    snapshot = site.snapshots[index]
    known = seen(snapshot, young, site.moment(site.now), timedelta(seconds=YOUNG))
    late = [each.expected_users for each in young if each.internal_meeting_id not in snapshot.participants]
    return load(known, Unseen(len(late), sum(late)), video_weight=0.5)


def least_meetings(site: Site, meeting: Meeting) -> int:
    """The node with the fewest meetings for its capacity, counted at once."""

    def count(index: int) -> float:
        live = sum(each.start + each.length > site.now for each in site.live[index])
        return (live + 1) / site.day.weights[index]

    return min(site.open, key=lambda index: (count(index), index))


def scalelite(site: Site, meeting: Meeting) -> int:
    """Scalelite's rule: attendees of the last poll, 15 at least in a young meeting, and one for each create since.

    Its joins between two polls, one each, are in what the next poll finds a few seconds later.
    """
    best = min(site.open, key=lambda index: (site.counted[index], index))
    site.counted[best] += 1 / site.day.weights[best]
    return best


def foresight(site: Site, meeting: Meeting) -> int:
    """What cannot be had: greedy by the sizes that live meetings will come to."""

    def filled(index: int) -> float:
        sizes = (each.users for each in site.live[index] if each.start + each.length > site.now)
        return (sum(sizes) + meeting.users) / site.day.weights[index]

    return min(site.open, key=lambda index: (filled(index), index))


RULES: dict[str, Rule] = {
    "ours": ours,
    "least-meetings": least_meetings,
    "scalelite": scalelite,
    "foresight": foresight,
}


def replay(day: Day, rule: Rule) -> dict[str, float]:
    """``max_mean``: the most users for its capacity on any node at any time, over what all had at the fullest time;
    ``mean``: the ratio of such moments, over the whole day; ``most``: users on one node.
    """
    site, ratios, heights, means, most = Site(day), [], [0.0], [0.0], 0
    end = max(each.start + each.length for each in day.meetings)
    drained = day.drained or (0, float("inf"))
    for _, _, happening in _happenings(day, end):
        if isinstance(happening, Meeting):
            site.now = happening.start
            if site.now >= drained[1] and drained[0] in site.open:
                site.drain(drained[0])
            site.live[rule(site, happening)].append(happening)
            continue
        site.now = happening
        site.poll()
        if happening % LOOK == 0:
            users = site.users()
            most = max(most, *users)
            height, mean = _load(site, users)
            heights.append(height)
            means.append(mean)
            if mean >= ENOUGH:
                ratios.append(height / mean)
    figures = {"max_mean": max(heights) / max(means), "mean": sum(ratios) / len(ratios) if ratios else 1.0}
    return {name: round(figure, 3) for name, figure in figures.items()} | {"most": most}


def _happenings(day: Day, end: float) -> Iterable[tuple[float, int, Meeting | float]]:
    """Polls and creates in order; at one moment the poll comes first."""
    polls = ((turn * POLL, 0, turn * POLL) for turn in range(int(end / POLL)))
    creates = ((each.start, each.number + 1, each) for each in sorted(day.meetings, key=lambda one: one.start))
    return heapq.merge(polls, creates)


def _load(site: Site, users: Sequence[int]) -> tuple[float, float]:
    """Users for the capacity of one: on the fullest of the nodes that take meetings, and on all of them."""
    weights = {index: site.day.weights[index] for index in site.open}
    height = max(users[index] / weight for index, weight in weights.items())
    return height, sum(users[index] for index in weights) / sum(weights.values())


def offline(day: Day) -> float:
    """max/mean at the fullest moment, had all meetings of it been known before: the largest first (LPT)."""
    moments = [turn * LOOK for turn in range(int(max(each.start + each.length for each in day.meetings) / LOOK))]
    fullest = max(moments, key=lambda now: sum(each.present(now) for each in day.meetings))
    left = [
        weight
        for index, weight in enumerate(day.weights)
        if not (day.drained and index == day.drained[0] and fullest >= day.drained[1])
    ]
    held = [0.0] * len(left)
    for size in sorted((each.present(fullest) for each in day.meetings), reverse=True):
        best = min(range(len(left)), key=lambda index: ((held[index] + size) / left[index], index))
        held[best] += size
    return round(max(have / weight for have, weight in zip(held, left, strict=True)) * sum(left) / sum(held), 3)


def _size(chance: random.Random) -> int:
    """Mostly seminars, some talks of two, a few lectures."""
    kind = chance.random()
    if kind < 0.35:
        return chance.randint(1, 4)
    return chance.randint(8, 35) if kind < 0.92 else chance.randint(60, 250)


def _known(chance: random.Random, users: int, share: float) -> int:
    """What the room's last meeting held, for a share of the rooms."""
    return max(1, round(users * chance.uniform(0.75, 1.25))) if chance.random() < share else 0


def university(name: str, weights: Sequence[float], *, classes: int, hours: int, seed: int, **given: object) -> Day:
    """Classes that start around the hour, as people click, and some talks in between; two rooms in three are known."""
    chance = random.Random(seed)
    found: list[Meeting] = []
    for hour in range(hours):
        for turn in range(classes):
            on_the_hour = turn < classes * 0.8
            start = hour * 3600 + (max(0.0, chance.gauss(900, 150)) if on_the_hour else chance.uniform(0, 3500))
            users = _size(chance)
            peak = _known(chance, users, 2 / 3)
            length = chance.uniform(2400, 5400) if on_the_hour else chance.uniform(600, 3000)
            found.append(Meeting(len(found), start, length, users, chance.uniform(120, 600), peak))
    drained = (len(weights) - 1, hours * 1800.0) if given.get("drain") else None
    return Day(name, weights, found, drained)


def flash(name: str, weights: Sequence[float], *, meetings: int, seed: int) -> Day:
    """Everybody at once, within 20 seconds, into rooms of which nothing is known."""
    chance = random.Random(seed)
    found = [
        Meeting(number, 60 + chance.uniform(0, 20), 3600, _size(chance), chance.uniform(60, 300))
        for number in range(meetings)
    ]
    return Day(name, weights, found)


def days(scale: float = 1.0) -> list[Day]:
    """scale: share of the meetings; 1 is what the baseline is of."""

    def count(number: int) -> int:
        return max(8, round(number * scale))

    even, uneven = [1.0] * 10, [1.0] * 6 + [2.0] * 3 + [4.0]
    return [
        university("university", even, classes=count(120), hours=6, seed=1),
        university("unequal nodes", uneven, classes=count(180), hours=6, seed=2),
        university("drain at noon", even, classes=count(120), hours=6, seed=3, drain=True),
        flash("flash crowd", even, meetings=count(400), seed=4),
    ]


Figures = dict[str, dict[str, dict[str, float]]]


def measure(scale: float = 1.0) -> Figures:
    """Figures of every rule on every day, and the offline optimum's."""
    return {
        day.name: {name: replay(day, rule) for name, rule in RULES.items()} | {"offline": {"max_mean": offline(day)}}
        for day in days(scale)
    }


def worse(figures: Figures, baseline: Figures) -> list[str]:
    """Where our rule is worse than it was, or than counting meetings, in words."""
    found = []
    for day, rules in figures.items():
        for name in ("max_mean", "mean"):
            now, before, counting = rules["ours"][name], baseline[day]["ours"][name], rules["least-meetings"][name]
            if now > before + TOLERANCE:
                found.append(f"{day}: {name} {now} where it was {before}")
            if now > counting:
                found.append(f"{day}: {name} {now} where counting meetings has {counting}")
    return found


@click.command()
@click.option("--write-baseline", is_flag=True, help=f"Replace {BASELINE.name}.")
def main(write_baseline: bool) -> None:
    """Print max/mean users a node, the day's worst and its mean, for each rule."""
    figures = measure()
    for day, rules in figures.items():
        click.echo(day)
        for name, row in rules.items():
            click.echo(f"  {name:<15}" + "  ".join(f"{key} {value:g}" for key, value in row.items()))
    if write_baseline:
        BASELINE.write_text(json.dumps(figures, indent=1) + "\n")
        return
    problems = worse(figures, json.loads(BASELINE.read_text()))
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
