"""Web workers and pollers are killed while front ends and operators act and nodes and Redis fail.

200 schedules on real stores and processes; tests/unit/core/test_schedules.py has 10,000 where the order is exact.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from balancer.storage.postgresql.database import connect
from tests.integration.web.cluster import Cluster
from tests.integration.web.schedules.chronicle import OPERATOR_LOG
from tests.integration.web.schedules.fixed_schedules import Aimed
from tests.integration.web.schedules.schedule import Ground, Schedule

SCHEDULES = 200
#: In seconds. Schedules with kills need calls that time out and polls that are soon too old to rely on.
HASTY = {
    "create_timeout": "0.4",
    "node_read_timeout": "1",
    "poll_timeout": "5",
    "poll_interval": "0.1",
    "move_after": "0.1",
}
#: Fixed schedules need neither, however slow the machine is: longer than fixed_schedules.py delays calls.
PATIENT = dict.fromkeys(HASTY, "60")

#: CPython 3.11 leaves a connection open that it accepts while its server closes, as a simulated node that goes deaf.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

GroundMaker = Callable[..., Ground]


@pytest.fixture
def ground_with(
    database_url: str, redis_url: str, cluster_on: Callable[..., Cluster], tmp_path: Path
) -> Iterator[GroundMaker]:
    """Makes a ground for schedules. Its workers make the given mistake, or none."""
    with ExitStack() as stack:

        def make(times: dict[str, str], mistake: str = "") -> Ground:
            connection = stack.enter_context(connect(database_url, autocommit=True))
            connection.execute(OPERATOR_LOG.encode())
            connection.execute("INSERT INTO tenants (name) VALUES ('another')")
            ground = Ground(
                cluster_on(database_url, redis_url, public_url="http://127.0.0.1:1", **times),
                connection,
                mistake,
            )
            stack.callback(ground.close)
            return ground

        yield make


def play(ground: Ground, seeds: range) -> None:
    for seed in seeds:
        ground.clear()
        try:
            Schedule(ground, seed).play()
        except (AssertionError, EOFError) as error:  # EOFError: a worker died by itself
            story = "\n".join(["", *ground.chronicle.story])
            raise AssertionError(f"seed {seed}: {error!r}{story}") from error


@pytest.mark.slow
def test_nothing_that_must_never_happen_happens_when_processes_are_killed(ground_with: GroundMaker) -> None:
    ground = ground_with(HASTY)
    play(ground, range(SCHEDULES))
    assert ground.tally["killed in a create"] > SCHEDULES / 10
    assert ground.tally["handed_out"] > SCHEDULES
    # How often these happen depends on the machine.
    for happened in ("ends by an operator", "given_up", "polled by 0", "polled by 1"):
        assert ground.tally[happened] > 0, happened


@pytest.mark.parametrize(
    ("aimed", "mistake", "message"),
    [
        (
            Aimed.a_create_while_every_node_is_disabled,
            "settles whatever the operator wants",
            "a node that is out of service",
        ),
        (
            Aimed.a_create_while_a_poll_is_under_way,
            "ends what was created after the poll began",
            "forgotten while its node has it",
        ),
        (
            Aimed.an_operator_s_end_while_the_meeting_is_ended_and_created_again,
            "ends whatever has the name",
            "ended by its meetingID",
        ),
    ],
)
def test_a_mistake_is_found(
    ground_with: GroundMaker, aimed: Callable[[Aimed], None], mistake: str, message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        aimed(Aimed(ground_with(PATIENT, mistake)))


@pytest.mark.parametrize(
    "aimed",
    [
        Aimed.a_create_while_every_node_is_disabled,
        Aimed.a_create_while_a_poll_is_under_way,
        Aimed.an_operator_s_end_while_the_meeting_is_ended_and_created_again,
    ],
)
def test_without_the_mistake_nothing_is_found(ground_with: GroundMaker, aimed: Callable[[Aimed], None]) -> None:
    aimed(Aimed(ground_with(PATIENT)))
