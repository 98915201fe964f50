"""A step passes only if it ends within the deadline in its sentence."""

from pathlib import Path

import pytest

from acceptance.support.recorder import lateness

PROJECT = Path(__file__).parents[3]
SENTENCE = "within 5 seconds each node refuses it"
pytest_plugins = ["pytester"]

SCENARIO = """
from pytest_bdd import given, scenarios
scenarios("slow.feature")

@given("within 0.1 seconds something is true")
def slow():
    import time
    time.sleep(0.3)
"""


@pytest.mark.parametrize(
    ("sentence", "seconds", "patience", "is_late"),
    [
        (SENTENCE, 6.9, 1, False),  # the last observation began in time
        (SENTENCE, 7.1, 1, True),
        (SENTENCE, 16.9, 3, False),
        (SENTENCE, 17.1, 3, True),
        ("two users join", 1000, 1, False),
        ("within 0.5 seconds it answers", 2.6, 1, True),
    ],
)
def test_a_step_is_late_after_its_deadline(sentence: str, seconds: float, patience: float, is_late: bool) -> None:
    assert bool(lateness(sentence, seconds, patience)) is is_late


def test_the_message_about_a_late_step_contains_its_sentence() -> None:
    assert lateness(SENTENCE, 9, 1) == f"it held, but only after 9.0 s: {SENTENCE}"


def test_a_late_step_fails_its_scenario(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    pytester.makefile(".feature", slow="Feature: F\n  Scenario: S\n    Given within 0.1 seconds something is true\n")
    pytester.makepyfile(test_slow=SCENARIO)
    pytester.makeconftest(
        """
        from acceptance.support.recorder import Recorder

        def pytest_configure(config):
            config.pluginmanager.register(Recorder(config, (), grace=0.0))
        """
    )
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*only after [0-9]*.[0-9] s: within 0.1 seconds something is true*"])
