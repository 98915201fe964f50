"""A pytest plugin that records the outcome of each scenario, enforces deadlines, and sets the run's exit status."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

import pytest

from acceptance.support.environment import AcceptedGap
from acceptance.support.meetings import LATER
from acceptance.support.outcomes import NotProved, Outcome, Result, Step, accept_gaps
from acceptance.support.report_head import Head

#: Begins a remark about something that an earlier run left behind.
EARLIER = "From an earlier run: "
#: Seconds that a step may take beyond its deadline: its last observation may begin in time and end later.
GRACE = 2.0
_DEADLINE = re.compile(r"\bwithin ([0-9.]+) seconds\b")
_RESULT = pytest.StashKey[Result]()
_STEP_STARTED = pytest.StashKey[float]()


class Recorder:
    """Collects one Result for each scenario and host check.

    A step fails if it takes longer than the "within N seconds" of its sentence, so step functions need not check it.
    """

    def __init__(
        self,
        config: pytest.Config,
        gaps: tuple[AcceptedGap, ...],
        secrets: Iterable[str] = (),
        *,
        patience: float = 1.0,
        grace: float = GRACE,
    ) -> None:
        """secrets: never shown; patience: multiplies every deadline; grace: see GRACE (seconds)."""
        self._config = config
        self._patience = patience
        self._grace = grace
        self.results: list[Result] = []
        self.remarks: list[str] = []
        self.head: Head | None = None
        self._gaps = gaps
        self._secrets = tuple(secrets)

    def note(self, item: pytest.Item, text: str) -> None:
        """Adds an observation to the running scenario; the report shows it under the current step."""
        _result(item).observations.append(self._without_secrets(text))

    def clean_up(self, tasks: Iterable[Callable[[], list[str]]]) -> Result:
        """Runs all clean-up tasks of the end of a run, even if one fails, and records the result."""
        result = Result("clean-up/everything is as it was", "Clean-up", "everything is as it was", Outcome.PASSED)
        started = time.monotonic()
        for task in tasks:
            try:
                result.observations += map(self._without_secrets, task())
            except (AssertionError, NotProved) as error:
                result.outcome = Outcome.FAILED
                result.message += self._without_secrets(f"{error}\n")
        # This run must not be blamed for what an earlier run could not remove.
        known = {remark.removeprefix(EARLIER) for remark in self.remarks}
        later = [line for line in result.observations if line.startswith(LATER) and line not in known]
        if later and result.outcome is Outcome.PASSED:
            result.outcome, result.message = Outcome.NOT_PROVED, "\n".join(later)
        result.seconds = time.monotonic() - started
        self.results.append(result)
        return result

    def pytest_bdd_before_step_call(self, request: pytest.FixtureRequest) -> None:
        request.node.stash[_STEP_STARTED] = time.monotonic()

    def pytest_bdd_after_step(self, request: pytest.FixtureRequest, step: Any) -> None:
        error = lateness(step.name, self._seconds(request.node), self._patience, self._grace)
        self._step(request.node, step, ok=not error)
        assert not error, error

    def pytest_bdd_step_error(self, request: pytest.FixtureRequest, step: Any) -> None:
        self._step(request.node, step, ok=False)

    def _step(self, item: pytest.Item, step: Any, *, ok: bool) -> None:
        result = _result(item)
        seconds = self._seconds(item)
        result.steps.append(Step(f"{step.keyword.strip()} {step.name}", seconds, ok, tuple(result.observations)))
        result.observations.clear()

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
            # The message alone, for junit.xml too; --tb=long shows the whole traceback.
            text = f"{_message(call.excinfo.value)}\n{call.excinfo.getrepr().reprcrash}"
            if self._config.option.tbstyle != "auto":
                text = report.longreprtext
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
        result.message = self._without_secrets(_message(value))

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
        if any(result.prevents_acceptance for result in self.results) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write: Callable[[str], None] = terminalreporter.write_line
        for result in self.results:
            if result.outcome is not Outcome.PASSED:
                accepted = f" [accepted: {result.accepted}]" if result.accepted else ""
                write(f"{result.outcome.upper()} {result.name}: {result.message}{accepted}")
        for remark in self.remarks:
            write(remark)


def lateness(sentence: str, seconds: float, patience: float, grace: float = GRACE) -> str:
    """The message about a step that held, but only after its deadline; "" if it was in time or has no deadline."""
    deadline = _DEADLINE.search(sentence)
    if deadline is None or seconds <= float(deadline[1]) * patience + grace:
        return ""
    return f"it held, but only after {seconds:.1f} s: {sentence}"


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
    # The docstring that pytest-bdd gives a scenario's function is "path of the feature: scenario".
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


def _message(error: BaseException) -> str:
    """The message of a failure: for an assertion its text without pytest's introspection lines."""
    text = str(error) or type(error).__name__
    if isinstance(error, AssertionError):
        return text.split("\nassert ", 1)[0].strip()
    return f"{type(error).__name__}: {text}" if not isinstance(error, NotProved | pytest.skip.Exception) else text
