"""A pytest plugin that listens to a run: how each scenario went, step by step, and how the run as a whole counts."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

import pytest

from acceptance.support.environment import Gap
from acceptance.support.meetings import LATER
from acceptance.support.outcomes import NotProved, Outcome, Result, Step, accept_gaps
from acceptance.support.report import Head

#: How a remark begins that is about what an earlier run left.
EARLIER = "From an earlier run: "
#: Seconds by which the last look of a step may end after its deadline.
GRACE = 2.0
_DEADLINE = re.compile(r"\bwithin ([0-9.]+) seconds\b")
_RESULT = pytest.StashKey[Result]()
_STEP_STARTED = pytest.StashKey[float]()


class Recorder:
    """Gathers one Result for each scenario and host check."""

    def __init__(
        self, config: pytest.Config, gaps: tuple[Gap, ...], secrets: Iterable[str] = (), *, patience: float = 1.0
    ) -> None:
        """secrets: never shown; patience: every deadline in the sentences is multiplied by it."""
        self._config = config
        self._patience = patience
        self.results: list[Result] = []
        self.remarks: list[str] = []
        self.head: Head | None = None
        self._gaps = gaps
        self._secrets = tuple(secrets)

    def note(self, item: pytest.Item, text: str) -> None:
        """Adds something seen to the scenario that runs now; the report shows it under its step."""
        _result(item).seen.append(self._without_secrets(text))

    def clean_up(self, duties: Iterable[Callable[[], list[str]]]) -> Result:
        """Runs the duties at the end of a run, each one though another fails, and judges the result."""
        result = Result("clean-up/everything is as it was", "Clean-up", "everything is as it was", Outcome.PASSED)
        started = time.monotonic()
        for duty in duties:
            try:
                result.seen += map(self._without_secrets, duty())
            except (AssertionError, NotProved) as error:
                result.outcome = Outcome.FAILED
                result.message += self._without_secrets(f"{error}\n")
        # What an earlier run could not remove is no fault of this one.
        known = {remark.removeprefix(EARLIER) for remark in self.remarks}
        later = [line for line in result.seen if line.startswith(LATER) and line not in known]
        if later and result.outcome is Outcome.PASSED:
            result.outcome, result.message = Outcome.NOT_PROVED, "\n".join(later)
        result.seconds = time.monotonic() - started
        self.results.append(result)
        return result

    def pytest_bdd_before_step_call(self, request: pytest.FixtureRequest) -> None:
        request.node.stash[_STEP_STARTED] = time.monotonic()

    def pytest_bdd_after_step(self, request: pytest.FixtureRequest, step: Any) -> None:
        told = late(step.name, self._seconds(request.node), self._patience)
        self._step(request.node, step, ok=not told)
        assert not told, told

    def pytest_bdd_step_error(self, request: pytest.FixtureRequest, step: Any) -> None:
        self._step(request.node, step, ok=False)

    def _step(self, item: pytest.Item, step: Any, *, ok: bool) -> None:
        result = _result(item)
        seconds = self._seconds(item)
        result.steps.append(Step(f"{step.keyword.strip()} {step.name}", seconds, ok, tuple(result.seen)))
        result.seen.clear()

    @staticmethod
    def _seconds(item: pytest.Item) -> float:
        return time.monotonic() - item.stash.get(_STEP_STARTED, time.monotonic())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.excinfo is not None and call.excinfo.errisinstance(NotProved):
            path, line, _ = item.location
            report.outcome = "skipped"
            report.longrepr = (path, line or 0, f"{Outcome.NOT_PROVED}: {call.excinfo.value}")
        elif call.excinfo is not None and report.failed:
            # In plain words, for junit too; --tb=long asks for all of it.
            long = self._config.option.tbstyle != "auto"
            text = report.longreprtext if long else f"{_words(call.excinfo.value)}\n{call.excinfo.getrepr().reprcrash}"
            report.longrepr = self._without_secrets(text)
        self._take(item, report, call)
        return report

    def _take(self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        result = _result(item)
        if result not in self.results:
            self.results.append(result)
        result.seconds += report.duration
        if call.excinfo is None or result.outcome is Outcome.FAILED:
            return
        value = call.excinfo.value
        if isinstance(value, NotProved):
            result.outcome = Outcome.NOT_PROVED
        elif report.outcome == "skipped":
            result.outcome = Outcome.SKIPPED
        else:
            result.outcome = Outcome.FAILED
        result.message = self._without_secrets(_words(value))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        text = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
        return ("not proved", "N", "NOT PROVED") if text.startswith(Outcome.NOT_PROVED) else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        accept_gaps(self.results, self._gaps)
        if any(result.spoils for result in self.results) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write: Callable[[str], None] = terminalreporter.write_line
        for result in self.results:
            if result.outcome is not Outcome.PASSED:
                accepted = f" [accepted: {result.accepted}]" if result.accepted else ""
                write(f"{result.outcome.upper()} {result.name}: {result.message}{accepted}")
        for remark in self.remarks:
            write(remark)


def late(sentence: str, seconds: float, patience: float) -> str:
    """What to say of a step that did what it says, but not in the time that it says; else ""."""
    found = _DEADLINE.search(sentence)
    if found is None or seconds <= float(found[1]) * patience + GRACE:
        return ""
    return f"it came out right, but only after {seconds:.1f} s: {sentence}"


def _result(item: pytest.Item) -> Result:
    if _RESULT not in item.stash:
        item.stash[_RESULT] = _new_result(item)
    return item.stash[_RESULT]


def _new_result(item: pytest.Item) -> Result:
    group = item.path.stem.removeprefix("test_")
    check = getattr(item, "originalname", item.name).removeprefix("test_")
    title = (inspect.getdoc(getattr(item, "function", None)) or check.replace("_", " ")).splitlines()[0]
    if item.path.parent.name == "infra":
        return Result(f"infra/{group}/{check}", f"Hosts: {group}", title + _example(item), Outcome.PASSED)
    # pytest-bdd documents each scenario's function as "path of the feature: scenario".
    scenario = title.partition(": ")[2]
    shown = scenario
    for name, value in (
        getattr(item, "callspec", item).__dict__.get("params", {}).get("_pytest_bdd_example", {}).items()
    ):
        shown = shown.replace(f"<{name}>", value)
    return Result(f"{group}/{scenario}", group.replace("_", " ").capitalize(), shown, Outcome.PASSED)


def _example(item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "id", "")
    return f" ({parameters})" if parameters else ""


def _words(error: BaseException) -> str:
    """The message of a failure for people: the text of an assertion without pytest's introspection lines."""
    text = str(error) or type(error).__name__
    if isinstance(error, AssertionError):
        return text.split("\nassert ", 1)[0].strip()
    return f"{type(error).__name__}: {text}" if not isinstance(error, NotProved | pytest.skip.Exception) else text
