"""`pytest acceptance --environment PATH --report DIR`: the options, and the fixtures that all scenarios share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from acceptance.support.bbb import BBB, BBBError
from acceptance.support.browser import Chromium, chromium
from acceptance.support.environment import Environment, EnvironmentFileError, load
from acceptance.support.hosts import Hosts
from acceptance.support.joined_users import Scene
from acceptance.support.meetings import Meetings
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.recorder import EARLIER, Recorder
from acceptance.support.report import write
from acceptance.support.report_head import read_head
from acceptance.support.step_types import Note, TimeLimit
from acceptance.support.undo_log import UndoLog, UndoLogError

STEPS = ("edge", "meetings", "nodes", "pages", "recordings", "users")
ENVIRONMENT = pytest.StashKey[Environment]()
RECORDER = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance")
    group.addoption("--environment", type=Path, help="The environment file (see acceptance/expected/example.yml).")
    group.addoption("--report", type=Path, help="Directory for acceptance.html, junit.xml and results.json.")
    group.addoption("--owner", help="Who is responsible for this change; overrides the environment file.")
    group.addoption("--rollback-point", help="What to restore if the change fails; overrides the environment file.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    path, report = config.getoption("--environment"), config.getoption("--report")
    if path is None:
        raise pytest.UsageError("acceptance: name an environment file: --environment PATH")
    try:
        environment = load(path)
    except EnvironmentFileError as error:
        raise pytest.UsageError(str(error)) from error
    secrets = (environment.secret, *(node.secret for node in environment.nodes))
    config.stash[ENVIRONMENT] = environment
    config.stash[RECORDER] = Recorder(config, environment.accepted_gaps, secrets, patience=environment.patience)
    config.pluginmanager.register(config.stash[RECORDER], "acceptance-recorder")
    for steps in STEPS:
        config.pluginmanager.import_plugin(f"acceptance.steps.{steps}")
    if report:
        config.option.xmlpath = str(report / "junit.xml")
    # ansible-inventory is installed beside the Python that runs this, which need not be on the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Scenarios first, then the checks of hosts. Restarts come last because they disturb all other checks.
    items.sort(key=lambda item: (item.path.parent.name == "infra", _disruptive(item)))
    if config.stash[ENVIRONMENT].disruptive:
        return
    skip = pytest.mark.skip(reason="disruptive, and the environment file says disruptive: false")
    for item in items:
        if _disruptive(item):
            item.add_marker(skip)


def _disruptive(item: pytest.Item) -> bool:
    return item.get_closest_marker("disruptive") is not None


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> Environment:
    """The cluster under test, as described by its environment file."""
    return pytestconfig.stash[ENVIRONMENT]


@pytest.fixture
def note(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Note:
    """Adds an observation to the report, under the current step."""
    recorder = pytestconfig.stash[RECORDER]
    return lambda text: recorder.note(request.node, text)


@pytest.fixture(scope="session")
def undo_log(environment: Environment) -> Iterator[UndoLog]:
    """What this run must restore; locked so that no second run uses the same environment file."""
    try:
        undo_log = UndoLog(environment.journal)
        with undo_log.locked():
            yield undo_log
    except UndoLogError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def hosts(environment: Environment) -> Hosts:
    """The cluster's hosts over ssh."""
    return Hosts(environment)


@pytest.fixture(scope="session")
def front_end(environment: Environment) -> BBB:
    """A front end's client for the balancer, even if the balancer does not answer."""
    return BBB(environment.url, environment.secret, environment.checksum, environment.verify)


@pytest.fixture(scope="session")
def endpoint_error(front_end: BBB) -> str:
    """Why the balancer's endpoint cannot be used at all, or "". Only the feature `edge` fails because of it."""
    try:
        front_end.parse("index", front_end.get(front_end.url)).succeeded()
    except BBBError as error:
        return str(error)
    return ""


@pytest.fixture
def bbb(front_end: BBB, endpoint_error: str) -> BBB:
    """A front end's client for the balancer; raises NotProved if the endpoint cannot be used."""
    if endpoint_error:
        raise NotProved(f"blocked, the endpoint cannot be used: {endpoint_error}")
    return front_end


@pytest.fixture(scope="session")
def all_meetings(environment: Environment, front_end: BBB, undo_log: UndoLog) -> Meetings:
    return Meetings(environment, front_end, undo_log)


@pytest.fixture(scope="session")
def operator(environment: Environment, hosts: Hosts, undo_log: UndoLog) -> Operator:
    """The operator's commands."""
    return Operator(environment, hosts, undo_log)


@pytest.fixture(scope="session", autouse=True)
def clean_cluster(
    pytestconfig: pytest.Config,
    all_meetings: Meetings,
    operator: Operator,
    endpoint_error: str,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[None]:
    """Undoes the changes of a crashed run first and those of this run at the end; the report judges both."""
    recorder = pytestconfig.stash[RECORDER]
    meeting_tasks = [] if endpoint_error else [all_meetings.end_all, all_meetings.delete_recordings]
    tasks = [operator.restore, *meeting_tasks]
    for task in tasks:
        try:
            recorder.remarks += [EARLIER + line for line in task()]
        except (AssertionError, NotProved) as error:
            # The scenarios can still be judged. It is tried again at the end, and the report judges it then.
            recorder.remarks.append(f"{EARLIER}{error}")
    yield
    result = recorder.clean_up(tasks)
    # junit.xml has no test case for it, but its readers must see it too.
    record_testsuite_property("clean_up", ": ".join(filter(None, (result.outcome, result.message.strip()))))


@pytest.fixture
def meetings(all_meetings: Meetings, bbb: BBB) -> Iterator[Meetings]:
    """Creates meetings; they are ended after the scenario."""
    yield all_meetings
    all_meetings.end_all()


@pytest.fixture
def time_limit(environment: Environment) -> TimeLimit:
    """Multiplies a deadline (seconds) by the environment's `patience`."""
    return lambda seconds: seconds * environment.patience


@pytest.fixture(autouse=True)
def node_states(operator: Operator) -> Iterator[None]:
    """Restores the nodes' former states after each scenario."""
    # This scenario must not fail because of a node that could not be restored before.
    unrestored = operator.changed()
    yield
    operator.restore(except_for=unrestored)


@pytest.fixture
def people() -> Iterator[ExitStack]:
    """The open browser pages: users who joined stay until the scenario ends."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def browser(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for the run, trusting the environment's CA."""
    with chromium(tmp_path_factory.mktemp("chromium"), environment.ca_file) as running:
        yield running


@pytest.fixture
def scene(meetings: Meetings, browser: Chromium, people: ExitStack, environment: Environment) -> Scene:
    """What steps need that put users into meetings."""
    return Scene(meetings, browser, people, environment)


@pytest.fixture(scope="session", autouse=True)
def report(
    pytestconfig: pytest.Config,
    environment: Environment,
    operator: Operator,
    hosts: Hosts,
    clean_cluster: None,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """Reads the report's head while the cluster still answers, for all three reports."""
    options = pytestconfig.option
    head = read_head(environment, operator, hosts, owner=options.owner, rollback_point=options.rollback_point)
    for name, value in head.properties():
        record_testsuite_property(name, value)
    pytestconfig.stash[RECORDER].head = head


def pytest_unconfigure(config: pytest.Config) -> None:
    recorder, directory = config.stash.get(RECORDER, None), config.getoption("--report")
    if recorder and recorder.head and directory:
        write(directory, recorder.head, recorder.results, recorder.remarks)
