"""`pytest acceptance --environment PATH --report DIR`: the options, and what every scenario uses."""

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
from acceptance.support.facts import head
from acceptance.support.hosts import Hosts
from acceptance.support.journal import Journal, JournalError
from acceptance.support.meetings import Meetings
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.recorder import EARLIER, Recorder
from acceptance.support.report import write

STEPS = ("edge", "meetings", "nodes", "pages", "recordings", "users")
ENVIRONMENT = pytest.StashKey[Environment]()
RECORDER = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance")
    group.addoption("--environment", type=Path, help="The environment file (see acceptance/expected/example.yml).")
    group.addoption("--report", type=Path, help="Directory for acceptance.html and junit.xml.")
    group.addoption("--owner", help="Who answers for this change; wins over the environment file.")
    group.addoption("--rollback-point", help="What to go back to; wins over the environment file.")


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
    # ansible-inventory stands beside the Python that runs this, which need not be on the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What people do first, then the hosts; a host is restarted when everything else has been seen.
    items.sort(key=lambda item: (item.path.parent.name == "infra", _disruptive(item)))
    if config.stash[ENVIRONMENT].disruptive:
        return
    closed = pytest.mark.skip(reason="disruptive, and the environment file says disruptive: false")
    for item in items:
        if _disruptive(item):
            item.add_marker(closed)


def _disruptive(item: pytest.Item) -> bool:
    return item.get_closest_marker("disruptive") is not None


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> Environment:
    """The cluster under test, as its environment file describes it."""
    return pytestconfig.stash[ENVIRONMENT]


@pytest.fixture
def note(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says in the report what was seen, under the step that runs."""
    recorder = pytestconfig.stash[RECORDER]
    return lambda text: recorder.note(request.node, text)


@pytest.fixture(scope="session")
def journal(environment: Environment) -> Iterator[Journal]:
    """What must be put back; held so that no second run works on the same cluster from the same file."""
    try:
        journal = Journal(environment.journal)
        with journal.held():
            yield journal
    except JournalError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def hosts(environment: Environment) -> Hosts:
    """The cluster's hosts over ssh."""
    return Hosts(environment)


@pytest.fixture(scope="session")
def front_end(environment: Environment) -> BBB:
    """The balancer as a front end calls it, whether it answers or not."""
    return BBB(environment.url, environment.secret, environment.checksum, environment.verify)


@pytest.fixture(scope="session")
def unreachable(front_end: BBB) -> str:
    """Why the balancer's endpoint cannot be used at all; empty if it can. The feature `edge` judges it."""
    try:
        front_end.parse("index", front_end.get(front_end.url)).succeeded()
    except BBBError as error:
        return str(error)
    return ""


@pytest.fixture
def bbb(front_end: BBB, unreachable: str) -> BBB:
    """The balancer as a front end calls it; without its endpoint a scenario proves nothing."""
    if unreachable:
        raise NotProved(f"blocked, the endpoint cannot be used: {unreachable}")
    return front_end


@pytest.fixture(scope="session")
def all_meetings(environment: Environment, front_end: BBB, journal: Journal) -> Meetings:
    return Meetings(environment, front_end, journal)


@pytest.fixture(scope="session")
def operator(environment: Environment, hosts: Hosts, journal: Journal) -> Operator:
    """The operator's commands."""
    return Operator(environment, hosts, journal)


@pytest.fixture(scope="session", autouse=True)
def clean_cluster(
    pytestconfig: pytest.Config,
    all_meetings: Meetings,
    operator: Operator,
    unreachable: str,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[None]:
    """Puts back what a crashed run left, and at the end what this one changed; the report judges that too."""
    recorder = pytestconfig.stash[RECORDER]
    duties = [operator.put_back, *([all_meetings.end_all, all_meetings.delete_recordings] if not unreachable else [])]
    for duty in duties:
        try:
            recorder.remarks += [EARLIER + line for line in duty()]
        except (AssertionError, NotProved) as error:
            # No reason to look at nothing: it is tried again at the end, and the report judges it then.
            recorder.remarks.append(f"{EARLIER}{error}")
    yield
    result = recorder.clean_up(duties)
    # junit.xml has no case for it, but whoever reads it alone must learn of it.
    record_testsuite_property("clean_up", ": ".join(filter(None, (result.outcome, result.message.strip()))))


@pytest.fixture
def meetings(all_meetings: Meetings, bbb: BBB) -> Iterator[Meetings]:
    """Makes meetings that end with the scenario."""
    yield all_meetings
    all_meetings.end_all()


@pytest.fixture
def patience(environment: Environment) -> Callable[[float], float]:
    """Stretches a deadline of a sentence by the environment's patience."""
    return lambda seconds: seconds * environment.patience


@pytest.fixture(autouse=True)
def node_states(operator: Operator) -> Iterator[None]:
    """Nodes are back in the state they were found in before the next scenario begins."""
    # What could not be put back before is no fault of this scenario.
    left = operator.changed()
    yield
    operator.put_back(leaving=left)


@pytest.fixture
def people() -> Iterator[ExitStack]:
    """Keeps browsers open: whoever joined stays until the scenario has ended."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def browser(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for the run, trusting the environment's CA."""
    with chromium(tmp_path_factory.mktemp("chromium"), environment.ca_file) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def report(
    pytestconfig: pytest.Config,
    environment: Environment,
    operator: Operator,
    hosts: Hosts,
    clean_cluster: None,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """Gathers the head while the cluster can still be asked, for junit.xml and acceptance.html."""
    options = pytestconfig.option
    known = head(environment, operator, hosts, owner=options.owner, rollback_point=options.rollback_point)
    for name, value in known.properties():
        record_testsuite_property(name, value)
    pytestconfig.stash[RECORDER].head = known


def pytest_unconfigure(config: pytest.Config) -> None:
    recorder, directory = config.stash.get(RECORDER, None), config.getoption("--report")
    if recorder and recorder.head and directory:
        write(directory, recorder.head, recorder.results, recorder.remarks)
