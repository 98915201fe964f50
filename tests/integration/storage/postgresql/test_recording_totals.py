"""The totals of pages without a filter equal a count, whatever happens to recordings."""

import threading
from typing import Any

import pytest

from balancer.core.recordings import Query
from balancer.storage.postgresql import recordings
from balancer.storage.postgresql.database import Connection, Database, connect
from balancer.storage.postgresql.recording_counts import RecordingCounts

PAGE = Query(offset=0, limit=1)
STATES = ("published", "unpublished", "deleted")


def insert(connection: Connection, count: int, state: str = "published", first: int = 0) -> None:
    connection.execute(
        "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state)"
        " SELECT 'ab-' || n, 1, 'm', 'n', %s FROM generate_series(%s::int, %s::int) AS n",
        (state, first, first + count - 1),
    )


def totals(connection: Connection) -> dict[str, int | None]:
    return {state: total(connection, Query(states=(state,), offset=0, limit=1)) for state in STATES}


def total(connection: Connection, query: Query = PAGE, tenant: int = 1) -> int | None:
    return recordings.search(connection, tenant, query, RecordingCounts()).total


@pytest.fixture
def rows(database: Database) -> Any:
    with database.transaction() as connection:
        yield connection


def test_totals_follow_every_kind_of_change(rows: Connection) -> None:
    insert(rows, 5)
    insert(rows, 2, "unpublished", first=10)
    assert recordings.change_state(rows, 1, ["ab-0", "ab-1", "ab-10"], "deleted") == 3
    assert recordings.change_state(rows, 1, ["ab-11", "ab-2"], "published") == 2
    assert recordings.edit(rows, 1, ["ab-3"], {"meta_a": "b"}) == 1
    rows.execute("DELETE FROM recordings WHERE record_id = 'ab-4'")
    assert totals(rows) == {"published": 3, "unpublished": 0, "deleted": 3}
    assert total(rows) == 3


def test_a_recording_that_changes_tenant_is_counted_for_the_new_one(rows: Connection) -> None:
    insert(rows, 2)
    [other] = rows.execute("INSERT INTO tenants (name) VALUES ('other') RETURNING id").fetchall()
    rows.execute("UPDATE recordings SET tenant_id = %s WHERE record_id = 'ab-0'", (other["id"],))
    assert [total(rows, tenant=tenant) for tenant in (1, other["id"])] == [1, 1]


def test_merging_rows_changes_no_total_and_loses_no_concurrent_insert(database_url: str) -> None:
    def work(number: int) -> None:
        with connect(database_url) as connection:
            for turn in range(20):
                insert(connection, 1, first=1000 * number + turn)
                connection.commit()
                recordings.gather_totals(connection, many=2)
                connection.commit()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connect(database_url) as connection:
        assert totals(connection)["published"] == 80
        recordings.gather_totals(connection, many=0)
        assert totals(connection)["published"] == 80
        merged = connection.execute("SELECT count(*) AS rows FROM recording_totals").fetchone()
        assert merged == {"rows": 1}
