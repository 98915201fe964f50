"""An operator takes a node out of service while a request is placing a meeting on it."""

import threading

import pytest
from click.testing import Result

from balancer.core.meetings import Wanted
from balancer.core.parameters import Parameters
from balancer.settings import Settings, load
from balancer.storage.outlook import read_outlook
from balancer.storage.postgresql.database import Connection, connect
from balancer.storage.postgresql.placement import choose, reserve
from tests.integration.cli.conftest import Commands, Observe

COURSE = Wanted(tenant_id=1, meeting_id="course", parameters=Parameters())
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load(environment)


def test_a_meeting_being_placed_is_seen_by_a_command_that_waits_for_it(
    commands: Commands, rows: Connection, observe: Observe, settings: Settings
) -> None:
    commands.add("bbb1", "--state", "enabled")
    observe("bbb1")
    results: list[Result] = []
    with connect(settings.database_url) as placing:
        outlook = read_outlook(placing, {}, settings)
        assert reserve(placing, choose(placing, COURSE, (), outlook, settings)).row_id
        thread = threading.Thread(target=lambda: results.append(commands.run("node", "disable", "bbb1")))
        thread.start()
        while not rows.execute(WAITING).rowcount:
            assert thread.is_alive(), results
    thread.join()
    assert results[0].exit_code == 1
    assert "1 meeting: course" in results[0].stderr
    assert commands.json("node", "show", "bbb1")["node"]["admin_state"] == "enabled"


def test_a_placement_that_comes_after_finds_the_node_gone_from_the_choice(
    commands: Commands, rows: Connection, observe: Observe, settings: Settings
) -> None:
    commands.add("bbb1", "--state", "enabled")
    observe("bbb1")
    before = read_outlook(rows, {}, settings)
    assert choose(rows, COURSE, (), before, settings).chosen
    commands.ok("node", "disable", "bbb1")
    assert reserve(rows, choose(rows, COURSE, (), before, settings)).row_id is None
