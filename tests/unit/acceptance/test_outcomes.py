"""When a run counts as accepted."""

import pytest

from acceptance.support.environment import Gap
from acceptance.support.outcomes import Outcome, Result, accept_gaps
from acceptance.support.report import verdict


def result(name: str, outcome: Outcome) -> Result:
    return Result(name, "Group", name, outcome)


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.NOT_PROVED, Outcome.FAILED])
def test_anything_but_a_pass_spoils_the_run(outcome: Outcome) -> None:
    """A scenario that was not seen to pass is not accepted."""
    assert result("disable/x", outcome).spoils


@pytest.mark.parametrize(
    ("outcome", "spoils"), [(Outcome.SKIPPED, False), (Outcome.NOT_PROVED, False), (Outcome.FAILED, True)]
)
def test_a_listed_gap_is_accepted_but_never_a_failure(outcome: Outcome, spoils: bool) -> None:
    """The environment file allows to leave things open, not to break promises."""
    one = result("disable/a disabled node", outcome)
    accept_gaps([one], [Gap("disable/*", "in the window only")])
    assert one.spoils is spoils


def test_a_gap_is_for_the_scenarios_it_names() -> None:
    """Another scenario still spoils the run."""
    one = result("record/recordings appear", Outcome.SKIPPED)
    accept_gaps([one], [Gap("disable/*", "in the window only")])
    assert one.spoils


def test_the_verdict_counts_what_spoils() -> None:
    """One sentence for the top of the report."""
    results = [result("a/1", Outcome.PASSED), result("a/2", Outcome.FAILED), result("a/3", Outcome.NOT_PROVED)]
    assert verdict(results) == "Not accepted: 1 failed, 1 not proved."
    assert verdict(results[:1]) == "Accepted."
    assert verdict([]) == "Nothing was looked at."
