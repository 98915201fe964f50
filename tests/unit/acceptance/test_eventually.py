"""Waiting ends as soon as the condition holds, and a timeout reports the last observation."""

from collections.abc import Iterator

import pytest

from acceptance.support.eventually import eventually


def test_a_condition_that_already_holds_is_observed_once() -> None:
    answers: Iterator[int] = iter([3])
    assert eventually(lambda: next(answers), lambda number: number == 3, within=60, otherwise=str) == 3


def test_a_condition_that_holds_later_is_waited_for() -> None:
    """The observation is repeated, and the last one is returned."""
    answers: Iterator[int] = iter([0, 0, 1])
    assert eventually(lambda: next(answers), bool, within=5, otherwise=str, every=0.01) == 1


def test_a_timeout_reports_the_deadline_and_the_last_observation() -> None:
    with pytest.raises(AssertionError, match=r"after 0\.05 s: still 7"):
        eventually(
            lambda: 7, lambda number: number > 7, within=0.05, otherwise=lambda number: f"still {number}", every=0.01
        )


def test_a_deadline_of_zero_allows_one_observation() -> None:
    assert eventually(lambda: "there", bool, within=0, otherwise=str) == "there"
