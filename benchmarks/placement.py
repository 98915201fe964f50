"""How evenly does placement load the nodes? Replays days against the pure rules, without stores, sockets and clocks.

Every rule sees the same meetings, polls and nodes, and cannot move a meeting later; users come and go as the day
defines. The result is max/mean: the highest load of a node for its capacity over the mean load of all nodes. Each kind
of day is replayed with several seeds, because on one day chance changes a figure more than a rule does.
"""

import heapq
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean

import click

from balancer.core.load import Load, PolledLoad, Reservations, YoungMeeting, load, polled_load
from balancer.core.nodes import AdminState, Node, ObservedState, Snapshot
from balancer.core.selection import Request, candidates
from benchmarks.placement_days import Day, Meeting, days

#: Each seed makes one day of each kind.
SEEDS = range(12)
BASELINE = Path(__file__).with_name("placement_baseline.json")
#: Seconds between two polls, between two samples of the load, and for which a meeting counts as young (the defaults).
POLL, SAMPLE, YOUNG = 10.0, 60.0, 900.0
#: Expected users of an unknown room: the default.
EXPECTED = 10
#: Mean users a node from which on a sample's ratio is meaningful.
ENOUGH = 50
#: By how much figures may exceed the baseline: placement is deterministic, but floats may differ in the last digit.
TOLERANCE = 0.005
_MORNING = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@dataclass
class Site:
    """The nodes at one moment: as they are, and as of the last poll."""

    day: Day
    now: float = 0.0
    live: list[list[Meeting]] = field(default_factory=list)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    polled: dict[int, PolledLoad] = field(default_factory=dict)  #: our view of the snapshots, by node, once computed
    #: Scalelite's load of each node: of the last poll, and its creates since.
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
        """Take a snapshot of every node."""
        self.polled.clear()
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

    def joined(self, index: int) -> int:
        """Users who joined a node since the poll and whose meetings still run."""
        polled = self.snapshots[index].participants
        live = (each for each in self.live[index] if each.start + each.length > self.now)
        return sum(each.present(self.now) - polled.get(str(each.number), 0) for each in live)

    def users(self) -> list[int]:
        """The present users of each node."""
        return [sum(each.present(self.now) for each in meetings) for meetings in self.live]


Rule = Callable[[Site, Meeting], int]


def ours(site: Site, meeting: Meeting) -> int:
    """The balancer's rules, as a create applies them."""
    observed = dict.fromkeys(range(len(site.nodes)), ObservedState.ONLINE)
    loads = {node.id: _our_load(site, node.id) for node in site.nodes}
    return candidates(site.nodes, observed, loads, Request(expected_users=_expected(meeting)))[0].node.id


def _our_load(site: Site, index: int) -> Load:
    snapshot = site.snapshots[index]
    if index not in site.polled:
        young = [_young(site, index, each) for each in site.live[index] if site.now - each.start < YOUNG]
        site.polled[index] = polled_load(snapshot, young, site.moment(site.now), timedelta(seconds=YOUNG))
    since = [_expected(each) for each in site.live[index] if str(each.number) not in snapshot.participants]
    return load(site.polled[index], Reservations(len(since), sum(since)), video_weight=0.5)


def _young(site: Site, index: int, meeting: Meeting) -> YoungMeeting:
    at = site.moment(meeting.start).timestamp()
    return YoungMeeting(
        node_id=index,
        internal_meeting_id=str(meeting.number),
        expected_users=_expected(meeting),
        placed_at=at,
        created_at=at,
    )


def _expected(meeting: Meeting) -> float:
    return meeting.peak or EXPECTED


def least_meetings(site: Site, meeting: Meeting) -> int:
    """The node with the fewest meetings for its capacity, which are counted at every create."""

    def count(index: int) -> float:
        live = sum(each.start + each.length > site.now for each in site.live[index])
        return (live + 1) / site.day.weights[index]

    return min(site.open, key=lambda index: (count(index), index))


def scalelite(site: Site, meeting: Meeting) -> int:
    """Scalelite's rule: users at the last poll, at least 15 in a young meeting, plus 1 a create or join since."""
    best = min(site.open, key=lambda index: (site.counted[index] + site.joined(index) / site.day.weights[index], index))
    site.counted[best] += 1 / site.day.weights[best]
    return best


def foresight(site: Site, meeting: Meeting) -> int:
    """A rule that knows the future: greedy by the final sizes of live meetings."""

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
    """``max_mean``: the highest load of any node at any time over the mean load at the fullest time; ``mean``: the mean
    over the day of each sample's max/mean; ``most``: users on one node. Load is users for the node's capacity.
    """
    site, ratios, heights, means, most = Site(day), [], [0.0], [0.0], 0
    end = max(each.start + each.length for each in day.meetings)
    drained = day.drained or (0, float("inf"))
    for _, _, event in _events(day, end):
        if isinstance(event, Meeting):
            site.now = event.start
            if site.now >= drained[1] and drained[0] in site.open:
                site.drain(drained[0])
            site.live[rule(site, event)].append(event)
            continue
        site.now = event
        site.poll()
        if event % SAMPLE == 0:
            users = site.users()
            most = max(most, *users)
            height, mean = _load(site, users)
            heights.append(height)
            means.append(mean)
            if mean >= ENOUGH:
                ratios.append(height / mean)
    figures = {"max_mean": max(heights) / max(means), "mean": sum(ratios) / len(ratios) if ratios else 1.0}
    return {name: round(figure, 3) for name, figure in figures.items()} | {"most": most}


def _events(day: Day, end: float) -> Iterable[tuple[float, int, Meeting | float]]:
    """Polls and creates in order, polls first at equal times. Polls that no create or sample would use are left out."""
    turns = {each.start // POLL * POLL for each in day.meetings} | {turn * SAMPLE for turn in range(int(end / SAMPLE))}
    polls = ((now, 0, now) for now in sorted(turns))
    creates = ((each.start, each.number + 1, each) for each in sorted(day.meetings, key=lambda one: one.start))
    return heapq.merge(polls, creates)


def _load(site: Site, users: Sequence[int]) -> tuple[float, float]:
    """Users for a capacity of 1: on the fullest of the nodes that take meetings, and on all of these nodes."""
    weights = {index: site.day.weights[index] for index in site.open}
    height = max(users[index] / weight for index, weight in weights.items())
    return height, sum(users[index] for index in weights) / sum(weights.values())


def offline(day: Day) -> float:
    """max/mean at the fullest moment if all its meetings were placed at once, the largest first (LPT)."""
    moments = [turn * SAMPLE for turn in range(int(max(each.start + each.length for each in day.meetings) / SAMPLE))]
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


Rows = dict[str, dict[str, float]]
Figures = dict[str, Rows]


def measure(scale: float = 1.0, seeds: Iterable[int] = SEEDS) -> Figures:
    """Figures of every rule on every kind of day."""
    kinds = zip(*(days(seed, scale) for seed in seeds), strict=True)
    return {kind[0].name: compare(kind) for kind in kinds}


def compare(kind: Sequence[Day]) -> Rows:
    """Each rule's means over these days, its worst ``max_mean``, the number of days on which ours had a better one, and
    the figure of the offline optimum.
    """
    found = {name: [replay(day, rule) for day in kind] for name, rule in RULES.items()}
    rows: Rows = {}
    for name, replays in found.items():
        heights = [each["max_mean"] for each in replays]
        rows[name] = {
            "max_mean": round(fmean(heights), 3),
            "worst": max(heights),
            "mean": round(fmean(each["mean"] for each in replays), 3),
        }
        if name != "ours":
            pairs = zip(found["ours"], heights, strict=True)
            rows[name]["ours_better"] = sum(each["max_mean"] < height for each, height in pairs)
    return rows | {"offline": {"max_mean": round(fmean(offline(day) for day in kind), 3)}}


def worse(figures: Figures, baseline: Figures) -> list[str]:
    """Messages about figures in which our rule is worse than in the baseline, counting meetings or Scalelite's rule."""
    found = []
    for day, rules in figures.items():
        for name in ("max_mean", "mean"):
            now, before = rules["ours"][name], baseline[day]["ours"][name]
            if now > before + TOLERANCE:
                found.append(f"{day}: {name} {now}, in the baseline {before}")
            found += [
                f"{day}: {name} {now}, with rule {other} {rules[other][name]}"
                for other in ("least-meetings", "scalelite")
                if now > rules[other][name]
            ]
    return found


@click.command()
@click.option("--write-baseline", is_flag=True, help=f"Replace {BASELINE.name}.")
def main(write_baseline: bool) -> None:
    """Print each rule's max/mean for each kind of day, as means over all seeds."""
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
