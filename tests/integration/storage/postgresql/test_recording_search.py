"""Lists of recordings, compared with a search in plain Python, on random recordings that keep changing."""

import random
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from balancer.core.recordings import DEFAULT_STATES, STATES, MetaFilter, Query
from balancer.storage.postgresql import recordings
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.postgresql.recording_counts import RecordingCounts

NAMES = ("course", "origin", "meetingName")
VALUES = ("a", "a%", "a_b", "ab", "b", "")


class WatchedCounts(RecordingCounts):
    """Counts how often it had a count."""

    hits = 0

    def get(self, tenant_id: int, query: Query, version: str) -> int | None:
        count = super().get(tenant_id, query, version)
        self.hits += count is not None
        return count


@pytest.fixture
def rows(database: Database) -> Iterator[Connection]:
    with database.transaction() as connection:
        connection.execute("INSERT INTO tenants (name) VALUES ('other')")
        yield connection


def insert(connection: Connection, chance: random.Random, number: int) -> None:
    """A recording with up to three formats; several recordings have the same start."""
    values = {
        "record_id": f"{chance.choice('abc')}{number:x}-{number}",
        "tenant": chance.choice(("default", "other")),
        "meeting": f"room-{chance.randrange(4)}",
        "name": f"Room {number}",
        "state": chance.choices(STATES, (6, 2, 2))[0],
        "start": chance.randrange(20),
        "metadata": Jsonb({name: chance.choice(VALUES) for name in NAMES if chance.random() < 0.7}),
    }
    [row] = connection.execute(
        "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state, start_ms, imported_metadata) VALUES"
        " (%(record_id)s, (SELECT id FROM tenants WHERE name = %(tenant)s), %(meeting)s, %(name)s, %(state)s,"
        " %(start)s, %(metadata)s) RETURNING id",
        values,
    )
    for each in chance.sample(("podcast", "presentation", "video"), chance.randrange(4)):
        connection.execute(
            "INSERT INTO recording_formats (recording, format, url, size_bytes, tree, files, unpacked_bytes, sha256)"
            " VALUES (%s, %s, '/x', 1, 'published', 1, 1, '')",
            (row["id"], each),
        )


def change(connection: Connection, chance: random.Random, number: int) -> None:
    """Any kind of change to recordings."""
    rows = connection.execute("SELECT record_id, tenant_id FROM recordings ORDER BY id").fetchall()
    tenant, ids = chance.choice((1, 2)), [chance.choice(rows)["record_id"]]
    match chance.randrange(6):
        case 0:
            insert(connection, chance, number)
        case 1:
            recordings.change_state(connection, tenant, ids, chance.choice(STATES))
        case 2 | 3:
            name = f"meta_{chance.choice(NAMES)}"
            recordings.edit(
                connection, tenant, ids, {name: chance.choice(VALUES), "protect": chance.choice(("true", ""))}
            )
        case 4:
            connection.execute("UPDATE recordings SET tenant_id = 3 - tenant_id WHERE record_id = %s", ids)
        case 5:
            recordings.gather_totals(connection, many=chance.choice((0, 500)))


def random_query(chance: random.Random) -> Query:
    prefixes = (chance.choice("abcd"), f"{chance.choice('abc')}{chance.randrange(16):x}")
    limit = chance.choice((None, 1, 3, 10, 100))
    return Query(
        record_ids=prefixes if chance.random() < 0.2 else None,
        meeting_ids=(f"room-{chance.randrange(5)}", "room-0") if chance.random() < 0.3 else None,
        states=chance.choice((DEFAULT_STATES, DEFAULT_STATES, STATES, ("deleted",), ())),
        meta=tuple(
            MetaFilter(chance.choice(NAMES), chance.choice((*VALUES, "%", "%b", "%a%", "a_%")))
            for _ in range(chance.choice((0, 0, 1, 2)))
        ),
        offset=0 if limit is None else chance.choice((0, 0, 2, 9, 1000)),
        limit=limit,
    )


def matches(row: Mapping[str, Any], query: Query) -> bool:
    return (
        row["state"] in query.states
        and (query.record_ids is None or row["record_id"].startswith(query.record_ids))
        and (query.meeting_ids is None or row["meeting_id"] in query.meeting_ids)
        and all(has(row["metadata"].get(each.name), each.value) for each in query.meta)
    )


def has(value: str | None, wanted: str) -> bool:
    if value is None or wanted == "%":
        return value is not None
    core = wanted.removeprefix("%").removesuffix("%")
    if wanted.startswith("%"):
        return core in value if wanted.endswith("%") else value.endswith(core)
    return value.startswith(core) if wanted.endswith("%") else value == core


def expected(connection: Connection, tenant: int, query: Query) -> tuple[list[tuple[str, str, list[str]]], int | None]:
    """(recordID, name, formats) of the page, and the total."""
    rows = connection.execute(
        "SELECT r.*, ARRAY(SELECT format FROM recording_formats WHERE recording = r.id) AS formats"
        " FROM recordings r WHERE tenant_id = %s",
        (tenant,),
    ).fetchall()
    matching = [row for row in rows if matches(row, query)]
    matching.sort(key=lambda row: (row["start_ms"], row["id"]), reverse=True)
    page = matching[query.offset :][: query.limit]
    listed = [
        (
            row["record_id"],
            row["edited_metadata"].get("meetingName") or row["name"],
            sorted(row["formats"], key=lambda each: (each != "presentation", each)),
        )
        for row in page
    ]
    return listed, len(matching) if query.paged else None


@pytest.mark.parametrize("seed", range(4))
def test_every_list_equals_that_of_plain_python(rows: Connection, seed: int) -> None:
    chance, counts = random.Random(seed), WatchedCounts(least=3)
    for number in range(60):
        insert(rows, chance, number)
    queries = [random_query(chance) for _ in range(15)]
    for number in range(60, 360):
        if chance.random() < 0.1:
            change(rows, chance, number)
        tenant, query = chance.choice((1, 2)), chance.choice(queries)
        page = recordings.search(rows, tenant, query, counts)
        listed = (
            [(each.record_id, each.name, [one.format for one in each.formats]) for each in page.recordings],
            page.total,
        )
        assert listed == expected(rows, tenant, query), query
    assert counts.hits > 5


def test_a_count_is_kept_until_something_changes_that_filters_can_see(rows: Connection) -> None:
    chance, counts = random.Random(0), WatchedCounts(least=1)
    for number in range(30):
        insert(rows, chance, number)
    query = Query(meeting_ids=tuple(f"room-{number}" for number in range(4)), limit=1)
    totals = [recordings.search(rows, 1, query, counts).total for _ in range(5)]
    assert totals == [expected(rows, 1, query)[1]] * 5
    assert counts.hits == 4
    # Filters cannot see where files are.
    rows.execute("UPDATE recordings SET move_due = true, move_attempts = 7")
    recordings.search(rows, 1, query, counts)
    assert counts.hits == 5
    # Metadata changes no total, but what filters match.
    [row] = rows.execute("SELECT record_id FROM recordings WHERE tenant_id = 1 AND state = 'published' LIMIT 1")
    assert recordings.edit(rows, 1, [row["record_id"]], {"meta_course": "new"}) == 1
    recordings.search(rows, 1, query, counts)
    assert counts.hits == 5


def test_merged_totals_have_another_version_even_with_as_many_rows(rows: Connection) -> None:
    counts, query = WatchedCounts(least=1), Query(meeting_ids=("m",), limit=1)

    def add(number: int) -> None:
        rows.execute(
            "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state)"
            " VALUES (%s, 1, 'm', 'n', 'published')",
            (f"ab-{number}",),
        )

    add(1)
    add(2)
    assert recordings.search(rows, 1, query, counts).total == 2
    recordings.gather_totals(rows, many=0)
    add(3)
    assert recordings.search(rows, 1, query, counts).total == 3
    assert counts.hits == 0


def test_formats_are_read_only_for_the_recordings_of_the_page(rows: Connection) -> None:
    chance = random.Random(1)
    for number in range(200):
        insert(rows, chance, number)

    def scans() -> int:
        [row] = rows.execute(
            "SELECT seq_scan + coalesce(idx_scan, 0) AS scans FROM pg_stat_xact_user_tables"
            " WHERE relname = 'recording_formats'"
        )
        return int(row["scans"])

    before = scans()
    page = recordings.search(rows, 1, Query(states=STATES, offset=60, limit=5), RecordingCounts())
    assert len(page.recordings) == 5
    assert 0 < scans() - before <= 5


def test_a_page_of_few_matches_reads_few_rows_even_if_the_planners_sample_holds_one(rows: Connection) -> None:
    """If one of the sample's hundred rows matches, the planner expects a hundredth of all rows, and would scan them."""
    rows.execute(
        "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state, start_ms, imported_metadata)"
        " SELECT 'ab-' || n, 1, 'room', 'Room', 'published', n,"
        " jsonb_build_object('course', (n / 5)::text, 'text', repeat('x', 200)) FROM generate_series(1, 20000) AS n"
    )
    rows.execute("ANALYZE recordings")
    [sample] = rows.execute(
        "SELECT histogram_bounds::text::text[]::jsonb[] AS bounds FROM pg_stats"
        " WHERE tablename = 'recordings' AND attname = 'metadata'"
    )
    course = min(int(each["course"]) for each in sample["bounds"][1:-1])

    def read() -> int:
        [row] = rows.execute(
            "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'recordings'"
        )
        return int(row["rows"])

    before = read()
    page = recordings.search(rows, 1, Query(meta=(MetaFilter("course", str(course)),), limit=3), RecordingCounts())
    assert (len(page.recordings), page.total) == (3, 5)
    assert read() - before < 100


def test_totals_are_right_in_every_snapshot_while_others_write(database_url: str) -> None:
    """Counts are kept for one version of the totals and read with another, while other connections write and merge."""
    query, counts = Query(meta=(MetaFilter("course", "a"),), limit=1), WatchedCounts(least=1)

    def write(first: int) -> None:
        with connect(database_url) as connection:
            chance = random.Random(first)
            for number in range(first, first + 60):
                change(connection, chance, number)
                connection.commit()

    with connect(database_url) as connection:
        connection.execute("INSERT INTO tenants (name) VALUES ('other')")
        for number in range(60):
            insert(connection, random.Random(number), number)
        connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        writers = [threading.Thread(target=write, args=(1000 * number,)) for number in range(1, 4)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            totals = [recordings.search(connection, tenant, query, counts).total for tenant in (1, 2, 1)]
            assert totals == [expected(connection, tenant, query)[1] for tenant in (1, 2, 1)]
            connection.rollback()
        for writer in writers:
            writer.join()
    assert counts.hits
