"""The replayed days of benchmarks/placement.py, with few meetings."""

import json

from benchmarks import placement
from benchmarks.placement import BASELINE, RULES, Day, Meeting, measure, offline, replay, worse


def test_a_tiny_run_is_the_same_each_time_and_tells_of_every_rule() -> None:
    figures = measure(scale=0.1)
    assert figures == measure(scale=0.1)
    assert figures.keys() == json.loads(BASELINE.read_text()).keys()
    for rules in figures.values():
        assert rules.keys() == {*RULES, "offline"}
        assert all(row["max_mean"] >= 1 for row in rules.values())


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


def test_a_figure_worse_than_the_baseline_is_told() -> None:
    baseline = json.loads(BASELINE.read_text())
    assert worse(baseline, baseline) == []
    figures = {name: dict(rules) for name, rules in baseline.items()}
    figures["university"]["ours"] = {"max_mean": 9.0, "mean": 9.0, "most": 1}
    assert len(worse(figures, baseline)) == 4
