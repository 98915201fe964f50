"""The one way to wait: it ends at once when it may, and says what it saw last when it must."""

import time
from collections.abc import Iterator

import pytest

from acceptance.support.eventually import eventually


def test_what_holds_at_once_is_not_waited_for() -> None:
    """The first look decides."""
    started = time.monotonic()
    assert eventually(lambda: 3, lambda seen: seen == 3, within=60, otherwise=str) == 3
    assert time.monotonic() - started < 30


def test_what_comes_true_later_is_returned() -> None:
    """It looks again until the answer is the expected one."""
    answers: Iterator[int] = iter([0, 0, 1])
    assert eventually(lambda: next(answers), bool, within=5, otherwise=str, every=0.01) == 1


def test_the_failure_names_deadline_and_last_sight() -> None:
    """The words are about what was seen last."""
    with pytest.raises(AssertionError, match=r"after 0\.05 s: still 7"):
        eventually(lambda: 7, lambda seen: seen > 7, within=0.05, otherwise=lambda seen: f"still {seen}", every=0.01)


def test_it_looks_once_more_when_the_deadline_has_passed() -> None:
    """A deadline of nothing is still one look."""
    assert eventually(lambda: "there", bool, within=0, otherwise=str) == "there"
