"""``balancer recording``: list, show, queue."""

import pytest

from balancer.storage.postgresql.database import Connection
from tests.integration.cli.conftest import Commands

RECORD = "f" * 40 + "-1757000000123"
DELETED = "e" * 40 + "-1757000000456"


@pytest.fixture
def recorded(rows: Connection) -> None:
    for record_id, state in ((RECORD, "published"), (DELETED, "deleted")):
        rows.execute(
            "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state, start_ms, end_ms)"
            " VALUES (%s, 1, 'course-1', E'Alg\\033ebra', %s, 1757000000123, 1757000300123)",
            [record_id, state],
        )


@pytest.mark.usefixtures("recorded")
def test_the_list_leaves_deleted_ones_out_unless_asked(commands: Commands) -> None:
    (only,) = commands.json("recording", "list")["recordings"]
    assert (only["record_id"], only["state"], only["formats"]) == (RECORD, "published", [])
    (only,) = commands.json("recording", "list", "--state", "deleted")["recordings"]
    assert only["record_id"] == DELETED
    assert commands.json("recording", "list", "--meeting-id", "other")["recordings"] == []
    text = commands.ok("recording", "list")
    assert "2025-09-04" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("recorded")
def test_one_recording_is_shown_whole(commands: Commands) -> None:
    shown = commands.json("recording", "show", RECORD)["recording"]
    assert (shown["record_id"], shown["meeting_id"], shown["tenant"]) == (RECORD, "course-1", "default")
    assert shown["imports"] == []
    text = commands.ok("recording", "show", RECORD)
    assert "published; formats: none" in text
    assert "tenant default\n" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("recorded")
def test_an_assumed_tenant_is_marked(commands: Commands, rows: Connection) -> None:
    rows.execute("UPDATE recordings SET tenant_assumed = true")
    assert "tenant default (assumed)" in commands.ok("recording", "show", RECORD)


def test_an_unknown_recording_is_reported(commands: Commands) -> None:
    assert "recording queue" in commands.refused("recording", "show", RECORD)


def test_an_empty_queue_says_so(commands: Commands) -> None:
    assert commands.ok("recording", "queue") == "no archives\n"
    assert commands.json("recording", "queue") == {"version": 1, "queue": []}


def test_the_queue_shows_what_was_refused_and_why(commands: Commands, rows: Connection) -> None:
    rows.execute(
        "INSERT INTO imports (archive, state, worker, host, attempts, reason, lease_until, finished_at)"
        " VALUES ('broken.tar', 'refused', 'lb1:1', 'lb1', 1, 'it is truncated', now(), now())"
    )
    (entry,) = commands.json("recording", "queue")["queue"]
    assert (entry["archive"], entry["state"], entry["reason"]) == ("broken.tar", "refused", "it is truncated")
    assert "it is truncated" in commands.ok("recording", "queue")
