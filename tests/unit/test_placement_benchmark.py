"""The replayed days of benchmarks/placement.py, with few meetings."""

import json

from benchmarks import placement
from benchmarks.placement import BASELINE, RULES, compare, measure, offline, replay, worse
from benchmarks.placement_days import Day, Meeting, days


def test_a_tiny_run_is_reproducible_and_reports_every_rule() -> None:
    figures = measure(scale=0.1, seeds=(1, 2))
    assert figures == measure(scale=0.1, seeds=(1, 2))
    assert figures.keys() == json.loads(BASELINE.read_text()).keys()
    for rules in figures.values():
        assert rules.keys() == {*RULES, "offline"}
        assert all(row["max_mean"] >= 1 for row in rules.values())


def test_another_seed_is_another_day_of_the_same_kind() -> None:
    for first, second in zip(days(1), days(2), strict=True):
        assert (first.name, first.weights) == (second.name, second.weights)
        assert first.meetings != second.meetings


def test_a_rule_s_figures_are_of_all_days() -> None:
    meetings = [Meeting(number, 0, 3600, 120, 1) for number in range(4)]
    kind = [Day("day", [1, 1, 1, 1], meetings[:count]) for count in (2, 4)]
    rows = compare(kind)
    # Two meetings on four nodes are twice the mean where they are; four are even.
    assert rows["ours"] == {"max_mean": 1.5, "worst": 2.0, "mean": 1.5}
    assert rows["scalelite"]["ours_better"] == 0


def test_the_offline_optimum_is_what_can_be_reckoned_by_hand() -> None:
    meetings = [Meeting(number, 0, 3600, users, 60) for number, users in enumerate((50, 40, 30, 20))]
    assert offline(Day("day", [1, 1], meetings)) == 1.0
    assert offline(Day("day", [1, 1], meetings[:1])) == 2.0


def test_a_rule_that_puts_all_on_one_node_shows() -> None:
    meetings = [Meeting(number, 10.0 * number, 3600, 60, 60) for number in range(8)]
    day = Day("day", [1, 1, 1, 1], meetings)
    assert replay(day, lambda site, meeting: 0)["max_mean"] == 4.0
    assert replay(day, placement.ours)["max_mean"] == 1.0


def test_nothing_is_placed_on_a_node_once_it_is_drained() -> None:
    meetings = [Meeting(number, 100.0 * number, 9000, 60, 60) for number in range(12)]
    day = Day("day", [1, 1, 1], meetings, (2, 350.0))
    for rule in RULES.values():
        found = replay(day, rule)
        # One meeting of the first three stays where it is, the other eleven share two nodes.
        assert found["most"] <= 360, found


def test_a_figure_worse_than_the_baseline_is_reported() -> None:
    baseline = json.loads(BASELINE.read_text())
    assert worse(baseline, baseline) == []
    figures = {name: dict(rules) for name, rules in baseline.items()}
    figures["university"]["ours"] = {"max_mean": 9.0, "mean": 9.0, "most": 1}
    # Worse than before, than counting meetings and than Scalelite's rule, by both figures.
    assert len(worse(figures, baseline)) == 6


def test_scalelite_s_rule_counts_a_create_and_each_join_until_the_next_poll() -> None:
    # Each node has a meeting; users come into the first one's. A poll at 10 counts 15 for each on the second node.
    meetings = [
        Meeting(0, 1, 3600, 60, 10),
        Meeting(1, 2, 3600, 60, 6000),
        *(Meeting(number, number, 3600, 1, 1) for number in (8, 12, 13)),
    ]
    homes: list[int] = []

    def rule(site: placement.Site, meeting: Meeting) -> int:
        homes.append(placement.scalelite(site, meeting))
        return homes[-1]

    replay(Day("day", [1, 1], meetings), rule)
    assert homes == [0, 1, 1, 1, 1]
