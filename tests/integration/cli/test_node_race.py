"""An operator takes a node out of service while a request is placing a meeting on it."""

import threading

import pytest
from click.testing import Result

from balancer.storage.database import Connection, connect
from tests.integration.cli.conftest import Commands

#: As placement does it: the node's row is locked and read again, then the meeting's row is inserted.
LOCK = "SELECT id FROM nodes WHERE name = 'bbb1' AND admin_state = 'enabled' FOR SHARE"
INSERT = """
    INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, expected_users)
    VALUES (1, 'course', %s, 'bbb1', 10)
"""
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.mark.parametrize("verb", ["disable", "remove"])
def test_a_meeting_being_placed_is_seen_by_whoever_waits_for_it(
    commands: Commands, rows: Connection, database_url: str, verb: str
) -> None:
    commands.add("bbb1", "--state", "enabled" if verb == "disable" else "draining")
    lock = LOCK if verb == "disable" else LOCK.replace("'enabled'", "'draining'")
    results: list[Result] = []
    with connect(database_url) as placing:
        (node,) = placing.execute(lock)
        thread = threading.Thread(target=lambda: results.append(commands.run("node", verb, "bbb1")))
        thread.start()
        while not rows.execute(WAITING).rowcount:
            assert thread.is_alive(), results
        placing.execute(INSERT, [node["id"]])
    thread.join()
    assert results[0].exit_code == 1
    assert "1 meeting: course" in results[0].stderr
    assert commands.json("node", "show", "bbb1")["node"]["admin_state"] != "disabled"


def test_a_placement_that_comes_after_finds_the_node_gone_from_the_choice(
    commands: Commands, database_url: str
) -> None:
    commands.add("bbb1", "--state", "enabled")
    commands.ok("node", "disable", "bbb1")
    with connect(database_url) as placing:
        assert placing.execute(LOCK).rowcount == 0
