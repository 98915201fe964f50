"""What a placement counts: meetings that a node's last poll saw, and those that it could not see."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from balancer.core.meetings import Wanted
from balancer.core.nodes import AdminState, Snapshot
from balancer.core.parameters import Parameters
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.outlook import Outlook, read_outlook
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.postgresql.placement import Decision, choose, prepare, reserve
from tests.integration.table_rows import add_meeting, add_node, add_tenant, set_online

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def rows(settings: Settings) -> Iterator[Connection]:
    """Connection to a database with one node."""
    with connect(settings.database_url, autocommit=True) as connection:
        add_node(connection, "bbb1")
        yield connection


def node_id(rows: Connection) -> int:
    return nodes.by_name(rows, "bbb1").id


def meeting(
    rows: Connection, name: str, expected: float, *, placed: datetime, created: datetime | None, state: str = "running"
) -> None:
    identity = {"internal_meeting_id": f"internal-{name}", "create_time": 1, "created_at": created} if created else {}
    add_meeting(rows, name, "bbb1", state, expected_users=expected, placed_at=placed, **identity)


def snapshot(rows: Connection, began: datetime, participants: Mapping[str, int]) -> dict[int, Snapshot]:
    number = node_id(rows)
    users = sum(participants.values())
    found = Snapshot(
        node_id=number,
        fencing=1,
        poll_started=began,
        polled=began,
        users=users,
        video=0,
        participants={f"internal-{name}": count for name, count in participants.items()},
    )
    return {number: found}


def some_meetings(rows: Connection, began: datetime) -> None:
    """Around a poll that began then."""
    second = timedelta(seconds=1)
    meeting(rows, "old", 1, placed=began - timedelta(hours=1), created=began - timedelta(hours=1))
    meeting(rows, "seen", 20, placed=began - 2 * second, created=began - second)
    meeting(rows, "gone", 300, placed=began - 2 * second, created=began - second)
    meeting(rows, "seen all the same", 4000, placed=began - second, created=began)
    meeting(rows, "after", 50_000, placed=began - second, created=began + second)
    meeting(rows, "asked", 600_000, placed=began - second, created=None, state="creating")


def wanted(query: str = "", meeting_id: str = "new") -> Wanted:
    return Wanted(tenant_id=1, meeting_id=meeting_id, parameters=Parameters.parse(query.encode()))


def all_online(rows: Connection) -> None:
    for node in nodes.all_nodes(rows):
        set_online(rows, node.id)


def counted(rows: Connection, outlook: Outlook, settings: Settings) -> tuple[float, int]:
    """Users and meetings that are counted besides what the poll saw."""
    (candidate,) = choose(rows, wanted(), (), outlook, settings).candidates
    polled = outlook.polled.get(node_id(rows))
    return candidate.load.reserved, candidate.load.meetings - (polled.snapshot.meetings if polled else 0)


def place(
    connection: Connection, outlook: Outlook, settings: Settings, meeting_id: str = "new", *, queue: bool = False
) -> Decision:
    with connection.transaction():
        prepare(connection, queue=queue)
        return reserve(connection, choose(connection, wanted(meeting_id=meeting_id), (), outlook, settings))


def test_a_meeting_is_counted_once_by_the_poll_or_by_its_row(rows: Connection, settings: Settings) -> None:
    began = clock.now(rows) - timedelta(seconds=5)
    some_meetings(rows, began)
    outlook = read_outlook(rows, snapshot(rows, began, {"old": 7, "seen": 1, "seen all the same": 2}), settings)
    assert outlook.polled[node_id(rows)].filling == 19 + 3998
    assert counted(rows, outlook, settings) == (650_000, 2)


@pytest.mark.parametrize("stale", [True, False])
def test_without_a_fresh_poll_every_live_row_counts(rows: Connection, settings: Settings, stale: bool) -> None:
    began = clock.now(rows) - timedelta(hours=2)
    some_meetings(rows, began)
    outlook = read_outlook(rows, snapshot(rows, began, {"old": 7}) if stale else {}, settings)
    assert outlook.polled == {}
    assert counted(rows, outlook, settings) == (654_321, 6)


def test_a_placement_reads_no_more_meetings_than_a_poll_can_have_missed(rows: Connection, settings: Settings) -> None:
    now = clock.now(rows)
    began = now - timedelta(seconds=5)
    some_meetings(rows, began)
    rows.execute(
        "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
        " expected_users, placed_at, created_at, finished_at)"
        " SELECT 1, 'room-' || number, %(node)s, 'bbb1', CASE WHEN number <= 8500 THEN 'running' ELSE 'ended' END,"
        " 'internal-room-' || number, 1, 10, %(began)s::timestamptz - interval '1 h',"
        " %(began)s::timestamptz - interval '1 h', CASE WHEN number > 8500 THEN %(began)s::timestamptz END"
        " FROM generate_series(1, 9000) AS number",
        {"node": node_id(rows), "began": began},
    )
    unpolled = add_node(rows, "bbb2")
    query = "UPDATE meetings SET node_id = %s WHERE meeting_id IN ('room-1', 'room-2', 'room-3', 'room-4')"
    rows.execute(query, [unpolled])
    rows.execute("ANALYZE meetings")  # with so many that run, the planner takes reading them all for cheaper
    outlook = read_outlook(rows, snapshot(rows, began, {"old": 3}), settings)
    with connect(settings.database_url) as connection:
        prepare(connection, queue=False)
        decision = choose(connection, wanted(), (), outlook, settings)
        query = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'meetings'"
        read = connection.execute(query).fetchone()
    placed = {each.node.id: each.load.meetings for each in decision.candidates}
    assert placed == {node_id(rows): 1 + 3, unpolled: 4}
    assert read is not None
    assert read["seq_tup_read"] == 0
    assert read["idx_tup_fetch"] < 20


@pytest.mark.parametrize(
    ("query", "peaks", "users"),
    [
        ("", [], 10),
        ("", [4, 60, 0], 60),
        ("", [0, 0], 10),
        ("", [500, 1, 2, 3, 4, 5], 5),
        ("maxParticipants=30&meta_bbb-meeting-size-hint=40", [60], 30),
    ],
)
def test_the_users_to_expect_come_from_the_front_end_or_the_room_s_last_meetings(
    rows: Connection, settings: Settings, query: str, peaks: list[int], users: float
) -> None:
    """peaks: the most users at once in the room's meetings so far, the oldest first."""
    for peak in peaks:
        add_meeting(rows, "new", "bbb1", "ended", peak_users=peak)
    decision = choose(rows, wanted(query), (), read_outlook(rows, {}, settings), settings)
    assert decision.request.expected_users == users


CHANGES = {
    "declaration": "UPDATE nodes SET url = 'https://elsewhere/', changed_at = now() WHERE name = 'bbb1'",
    "operator": "UPDATE nodes SET admin_state = 'draining' WHERE name = 'bbb1'",
    "poll": "UPDATE node_observations SET state = 'suspect' FROM nodes WHERE id = node_id AND name = 'bbb1'",
    "gone": "DELETE FROM nodes WHERE name = 'bbb1'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_that_changed_since_the_outlook_is_left_out(rows: Connection, settings: Settings, change: str) -> None:
    add_node(rows, "bbb2", weight=0.1)
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)
    chosen = choose(rows, wanted(), (), outlook, settings).chosen
    assert chosen
    assert chosen.name == "bbb1"
    rows.execute(CHANGES[change].encode())
    decision = place(rows, outlook, settings)
    assert decision.row_id
    assert decision.chosen
    assert decision.chosen.name == "bbb2"


def test_a_row_says_where_the_meeting_is_and_why(rows: Connection, settings: Settings) -> None:
    all_online(rows)
    decision = place(rows, read_outlook(rows, {}, settings), settings)
    assert rows.execute("SELECT id, node_id, node_name, state, expected_users FROM meetings").fetchall() == [
        {
            "id": decision.row_id,
            "node_id": node_id(rows),
            "node_name": "bbb1",
            "state": "creating",
            "expected_users": 10,
        }
    ]
    assert rows.execute("SELECT meeting, from_state, to_state, cause FROM meeting_events").fetchall() == [
        {"meeting": decision.row_id, "from_state": None, "to_state": "creating", "cause": "placed on bbb1 at score 10"}
    ]


def test_a_live_row_stays_the_only_one(rows: Connection, settings: Settings) -> None:
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)
    first, second = place(rows, outlook, settings), place(rows, outlook, settings)
    assert (second.live_id, second.row_id) == (first.row_id, None)


@pytest.mark.parametrize(
    ("state", "hours_ago", "chosen"), [("running", 0, "bbb2"), ("lost", 1, "bbb2"), ("lost", 25, "bbb1")]
)
def test_a_node_that_may_hold_another_tenant_s_meeting_of_the_id_is_left_out(
    rows: Connection, settings: Settings, state: str, hours_ago: int, chosen: str
) -> None:
    add_node(rows, "bbb2", weight=0.1)
    all_online(rows)
    # No users are expected in it, so that it adds no load.
    other = {"tenant_id": add_tenant(rows), "expected_users": 0}
    add_meeting(rows, "new", "bbb1", state, minutes_ago=60 * hours_ago, internal_meeting_id="internal", **other)
    decision = place(rows, read_outlook(rows, {}, settings), settings)
    assert decision.chosen
    assert decision.chosen.name == chosen


def test_a_choice_is_void_once_another_meeting_was_placed_on_the_node(rows: Connection, settings: Settings) -> None:
    add_node(rows, "bbb2", weight=0.1)
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)
    late = choose(rows, wanted(meeting_id="late"), (), outlook, settings)
    assert place(rows, outlook, settings, "first").chosen == late.chosen
    assert reserve(rows, late).row_id is None
    again = choose(rows, wanted(meeting_id="late"), (), outlook, settings)
    # bbb2's placements make only bbb2 worse.
    rows.execute("INSERT INTO node_placements SELECT id, 5 FROM nodes WHERE name = 'bbb2'")
    assert reserve(rows, again).row_id


def test_a_process_that_decides_delays_no_other(rows: Connection, settings: Settings, database: Database) -> None:
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)
    with database.transaction() as deciding:
        prepare(deciding, queue=False)
        decision = choose(deciding, wanted(meeting_id="slow"), (), outlook, settings)
        rows.execute("SET lock_timeout = '1ms'")
        assert place(rows, outlook, settings, "quick").row_id
        assert reserve(deciding, decision).row_id is None


def test_a_node_that_goes_out_of_service_while_it_is_chosen_gets_no_meeting(
    rows: Connection, settings: Settings, database_url: str
) -> None:
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)
    with ThreadPoolExecutor(1) as thread, connect(database_url) as operator, connect(database_url) as placing:
        nodes.set_admin_state(operator, "bbb1", AdminState.DISABLED)
        reserved = thread.submit(place, placing, outlook, settings)
        while not rows.execute(WAITING).rowcount:
            assert not reserved.done(), reserved.result()
        operator.commit()
        decision = reserved.result()
    assert decision.chosen
    assert decision.row_id is None
    assert rows.execute("SELECT FROM meetings").rowcount == 0


def test_a_process_that_hangs_with_the_lock_soon_loses_it(
    rows: Connection, settings: Settings, database: Database
) -> None:
    all_online(rows)
    outlook = read_outlook(rows, {}, settings)

    def hang() -> None:
        with database.transaction() as connection, database.single() as beside:
            prepare(connection, queue=True)
            assert reserve(connection, choose(connection, wanted(meeting_id="hung"), (), outlook, settings)).row_id
            # It waits for a lock for 5 s at most.
            assert place(beside, outlook, settings, "next", queue=True).row_id

    with pytest.raises(StorageUnavailableError, match="IdleInTransactionSessionTimeout"):
        hang()
    assert [row["meeting_id"] for row in rows.execute("SELECT meeting_id FROM meetings")] == ["next"]
