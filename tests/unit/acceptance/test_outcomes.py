"""When a run is accepted."""

import pytest

from acceptance.support.environment import AcceptedGap
from acceptance.support.outcomes import Outcome, Result, accept_gaps
from acceptance.support.report import verdict


def result(name: str, outcome: Outcome) -> Result:
    return Result(name, "Group", name, outcome)


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.NOT_PROVED, Outcome.FAILED])
def test_a_scenario_that_did_not_pass_prevents_acceptance(outcome: Outcome) -> None:
    assert result("disable/x", outcome).prevents_acceptance


@pytest.mark.parametrize(
    ("outcome", "prevents"), [(Outcome.SKIPPED, False), (Outcome.NOT_PROVED, False), (Outcome.FAILED, True)]
)
def test_a_listed_gap_is_accepted_but_never_a_failure(outcome: Outcome, prevents: bool) -> None:
    one = result("disable/a disabled node", outcome)
    accept_gaps([one], [AcceptedGap("disable/*", "in the window only")])
    assert one.prevents_acceptance is prevents


def test_a_gap_applies_only_to_the_scenarios_that_it_names() -> None:
    one = result("record/recordings appear", Outcome.SKIPPED)
    accept_gaps([one], [AcceptedGap("disable/*", "in the window only")])
    assert one.prevents_acceptance


def test_the_verdict_counts_what_prevents_acceptance() -> None:
    results = [result("a/1", Outcome.PASSED), result("a/2", Outcome.FAILED), result("a/3", Outcome.NOT_PROVED)]
    assert verdict(results) == "Not accepted: 1 failed, 1 not proved."
    assert verdict(results[:1]) == "Accepted."
    assert verdict([]) == "Nothing was run."
