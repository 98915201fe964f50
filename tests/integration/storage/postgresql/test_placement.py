"""What a placement counts: meetings that a node's last poll saw, and those that it could not see."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from balancer.core.meetings import Wanted
from balancer.core.nodes import AdminState, Limits, Node, ObservedState, Snapshot
from balancer.core.parameters import Parameters
from balancer.settings import Settings
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import Connection, connect
from balancer.storage.postgresql.placement import Outlook, decide, outlook


@pytest.fixture
def rows(settings: Settings) -> Iterator[Connection]:
    """Connection to a database with one node."""
    with connect(settings.database_url, autocommit=True) as connection:
        declared = nodes.Declaration(name="bbb1", url="https://bbb1/", secret="a-secret")
        nodes.add(connection, declared, AdminState.ENABLED)
        yield connection


def node_id(rows: Connection) -> int:
    return nodes.by_name(rows, "bbb1").id


def meeting(
    rows: Connection, name: str, expected: float, *, placed: datetime, created: datetime | None, state: str = "running"
) -> None:
    values = {
        "node": node_id(rows),
        "name": name,
        "internal": f"internal-{name}" if created else None,
        "expected": expected,
        "placed": placed,
        "created": created,
        "state": state,
    }
    rows.execute(
        "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
        " expected_users, recorded, placed_at, created_at) VALUES (1, %(name)s, %(node)s, 'bbb1', %(state)s,"
        " %(internal)s, CASE WHEN %(internal)s::text IS NOT NULL THEN 1 END, %(expected)s, false, %(placed)s,"
        " %(created)s)",
        values,
    )


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


def reserved(rows: Connection, known: Outlook, settings: Settings) -> tuple[float, int]:
    """Users and meetings that are counted beside what the poll saw."""
    (found,) = decide(rows, wanted(), (), known, settings).judged
    there = known.seen.get(node_id(rows))
    return found.load.reserved, found.load.meetings - (there.snapshot.meetings if there else 0)


def test_a_meeting_is_counted_once_by_the_poll_or_by_its_row(rows: Connection, settings: Settings) -> None:
    began = clock.now(rows) - timedelta(seconds=5)
    some_meetings(rows, began)
    known = outlook(rows, snapshot(rows, began, {"old": 7, "seen": 1, "seen all the same": 2}), settings)
    assert known.seen[node_id(rows)].filling == 19 + 3998
    assert reserved(rows, known, settings) == (650_000, 2)


@pytest.mark.parametrize("stale", [True, False])
def test_without_a_fresh_poll_every_live_row_counts(rows: Connection, settings: Settings, stale: bool) -> None:
    began = clock.now(rows) - timedelta(hours=2)
    some_meetings(rows, began)
    known = outlook(rows, snapshot(rows, began, {"old": 7}) if stale else {}, settings)
    assert known.seen == {}
    assert reserved(rows, known, settings) == (654_321, 6)


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
    unpolled = nodes.add(
        rows, nodes.Declaration(name="bbb2", url="https://bbb2/", secret="a-secret"), AdminState.ENABLED
    )
    query = "UPDATE meetings SET node_id = %s WHERE meeting_id IN ('room-1', 'room-2', 'room-3', 'room-4')"
    rows.execute(query, [unpolled.id])
    rows.execute("ANALYZE meetings")  # with so many that run, the planner takes reading them all for cheaper
    known = outlook(rows, snapshot(rows, began, {"old": 3}), settings)
    with connect(settings.database_url) as connection:
        decision = decide(connection, wanted(), (), known, settings)
        query = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'meetings'"
        read = connection.execute(query).fetchone()
    assert decision.unseen[node_id(rows)].meetings == 3
    assert decision.unseen[unpolled.id].meetings == 4
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
        ("meta_bbb-meeting-size-hint=40", [60], 40),
        ("maxParticipants=3", [], 3),
        ("maxParticipants=300", [], 10),
        ("maxParticipants=30", [60], 30),
        ("maxParticipants=30&meta_bbb-meeting-size-hint=40", [], 30),
    ],
)
def test_a_room_is_expected_to_be_as_full_as_lately_unless_the_front_end_knows_better(
    rows: Connection, settings: Settings, query: str, peaks: list[int], users: float
) -> None:
    """peaks: the most users at once in the room's meetings so far, the oldest first."""
    for peak in peaks:
        rows.execute(
            "INSERT INTO meetings (tenant_id, meeting_id, node_name, state, expected_users, peak_users, finished_at)"
            " VALUES (1, 'new', 'bbb1', 'ended', 1, %s, now())",
            [peak],
        )
    decision = decide(rows, wanted(query), (), outlook(rows, {}, settings), settings)
    assert decision.request.expected_users == users


CHANGES = {
    "declaration": "UPDATE nodes SET url = 'https://elsewhere/', changed_at = now() WHERE name = 'bbb1'",
    "operator": "UPDATE nodes SET admin_state = 'draining' WHERE name = 'bbb1'",
    "poll": "UPDATE node_observations SET state = 'suspect' FROM nodes WHERE id = node_id AND name = 'bbb1'",
    "gone": "DELETE FROM nodes WHERE name = 'bbb1'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_that_changed_since_the_look_is_left_out(rows: Connection, settings: Settings, change: str) -> None:
    declared = nodes.Declaration(name="bbb2", url="https://bbb2/", secret="a-secret", weight=0.1)
    nodes.add(rows, declared, AdminState.ENABLED)
    for node in nodes.all_nodes(rows):
        nodes.observe(rows, node.id, ObservedState.ONLINE, reason="", bbb_version="", fencing=1)
    before = outlook(rows, {}, settings)
    chosen = decide(rows, wanted(), (), before, settings).chosen
    assert chosen
    assert chosen.name == "bbb1"
    rows.execute(CHANGES[change].encode())
    decision = decide(rows, wanted(), (), before, settings, reserve=True)
    assert decision.row_id
    assert decision.chosen
    assert decision.chosen.name == "bbb2"


class Draw:
    """A cluster in any state, and a create that asks it for a node."""

    def __init__(self, rows: Connection, seed: int) -> None:
        self._rows, self._random = rows, random.Random(seed)
        rows.execute("TRUNCATE meetings, meeting_events, nodes, node_observations CASCADE")
        self._began = clock.now(rows) - timedelta(seconds=3)
        self.nodes = [self._node(number) for number in range(self._random.choice([1, 2, 3, 4] * 5 + [60]))]
        self.snapshots = {node.id: self._snapshot(node) for node in self.nodes if self._random.random() < 0.8}
        for number in range(self._random.randint(0, 6)):
            self._meeting(number)
        self.refused = [node.id for node in self.nodes if self._random.random() < 0.1]
        tags = self._random.choice(["", "", "a", "a!", "b;none", "c!"])
        hint = self._random.choice(["", "&meta_bbb-meeting-size-hint=7"])
        self.wanted = wanted(f"meta_server-tag={tags}{hint}", self._random.choice(["new", "room-1"]))

    def _node(self, number: int) -> Node:
        def limit(most: int) -> int | None:
            return self._random.choice([None, None, self._random.randint(1, most)])

        declared = nodes.Declaration(
            name=f"bbb{number}",
            url=f"https://bbb{number}/",
            secret="a-secret",
            weight=self._random.choice([0.5, 1.0, 1.0, 2.0]),
            tags=self._random.choice([(), (), ("a",), ("a", "b")]),
            limits=Limits(soft_meetings=limit(4), hard_meetings=limit(6), soft_users=limit(40), hard_users=limit(80)),
        )
        state = self._random.choice([AdminState.ENABLED] * 4 + [AdminState.DRAINING])
        node = nodes.add(self._rows, declared, state)
        if self._random.random() < 0.9:
            observed = self._random.choice(
                [ObservedState.ONLINE] * 6 + [ObservedState.SUSPECT, ObservedState.UNREACHABLE]
            )
            nodes.observe(self._rows, node.id, observed, reason="", bbb_version="", digests=(), fencing=1)
        return node

    def _snapshot(self, node: Node) -> Snapshot:
        participants = {f"internal-{node.id}-{each}": each * 7 for each in range(self._random.randint(0, 3))}
        began = self._began - timedelta(hours=self._random.choice([0, 0, 0, 1]))
        users = sum(participants.values())
        return Snapshot(
            node_id=node.id,
            fencing=1,
            poll_started=began,
            polled=began,
            users=users,
            video=self._random.choice([0, 5]),
            participants=participants,
        )

    def _meeting(self, number: int) -> None:
        """A row of any age; now and then of another tenant, and of a meetingID that the create may ask for."""
        node = self._random.choice(self.nodes)
        age = timedelta(seconds=self._random.choice([0, 2, 4, 1000]))
        values = {
            "tenant": self._random.choice([1, 2]),
            "id": f"room-{number}",
            "node": node.id,
            "name": node.name,
            "state": self._random.choice(["creating", "running", "running", "lost"]),
            "internal": f"internal-{node.id}-{number}",
            "expected": self._random.choice([1, 7, 12.5]),
            "at": self._began + timedelta(seconds=2) - age,
        }
        self._rows.execute(
            "INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time,"
            " expected_users, placed_at, created_at, finished_at) SELECT %(tenant)s, %(id)s, %(node)s, %(name)s,"
            " %(state)s, internal, CASE WHEN internal IS NOT NULL THEN 1 END, %(expected)s, %(at)s,"
            " CASE WHEN internal IS NOT NULL THEN %(at)s END, CASE WHEN %(state)s = 'lost' THEN %(at)s END"
            " FROM (SELECT CASE WHEN %(state)s <> 'creating' THEN %(internal)s END AS internal) AS known",
            values,
        )


def test_postgresql_chooses_the_node_that_the_rules_name(rows: Connection, settings: Settings) -> None:
    rows.execute("INSERT INTO tenants (name) VALUES ('another')")
    met: Counter[str] = Counter()
    for seed in range(300):
        draw = Draw(rows, seed)
        decision = decide(rows, draw.wanted, draw.refused, outlook(rows, draw.snapshots, settings), settings)
        if decision.live_id is not None:
            met["live"] += 1
            continue
        best = decision.judged[0]
        expected = (None, None) if best.refusal else (best.node.name, pytest.approx(best.score))
        found = (decision.chosen and decision.chosen.name, decision.score)
        assert found == expected, f"seed {seed}: {decision.judged}"
        fit = [each for each in decision.judged if not each.refusal]
        assert decision.contenders.number == len(fit), f"seed {seed}"
        best = [[each.node.name, pytest.approx(each.score)] for each in fit[:20]]
        assert list(decision.contenders.best) == best, f"seed {seed}"
        assert list(decision.contenders.avoided) == [each.node.name for each in fit if each.avoided], f"seed {seed}"
        refusals = {each.refusal: set[str]() for each in decision.judged if each.refusal}
        for each in decision.judged:
            if each.refusal:
                refusals[each.refusal].add(each.node.name)
        assert {reason: set(names) for reason, names in decision.refusals().items()} == refusals, f"seed {seed}"
        met["many contend"] += len(fit) > 20
        met["chosen" if decision.chosen else "none fit"] += 1
        met.update(each.refusal.partition(" of ")[0] for each in decision.judged)
        met["avoided"] += any(each.avoided for each in decision.judged)
    kinds = {"chosen", "none fit", "live", "avoided", "at the limit", "with another meeting", "many contend"}
    assert kinds <= met.keys(), met
