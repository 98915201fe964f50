"""Publication, protection, deletion and edits: in force at once, bytes after them, and stronger than any archive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balancer.core.recordings import Query
from balancer.importing.importer import Importer
from balancer.storage.postgresql import recordings
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.recording_counts import RecordingCounts
from tests import archives
from tests.archives import RECORD_ID

FILES = archives.presentation() | archives.video()


@pytest.fixture
def present(share: Path, importer: Importer) -> None:
    """A recording with two formats, imported."""
    archives.write(share / "spool" / "a.tar", FILES)
    importer.run_once()


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def state(database: Database, wanted: str) -> None:
    with database.transaction() as connection:
        assert recordings.change_state(connection, 1, [RECORD_ID], wanted) == 1


def row(rows: Connection) -> dict[str, Any]:
    found = rows.execute("SELECT * FROM recordings").fetchone()
    assert found is not None
    return found


@pytest.mark.usefixtures("present")
def test_unpublished_files_leave_the_published_tree_and_come_back(
    share: Path, importer: Importer, database: Database, rows: Connection, run_all: Callable[[], int]
) -> None:
    state(database, "unpublished")
    assert files(share / "published") == FILES
    run_all()
    assert (files(share / "published"), files(share / "unpublished")) == ({}, FILES)
    assert row(rows)["move_due"] is False
    state(database, "published")
    run_all()
    assert (files(share / "published"), files(share / "unpublished")) == (FILES, {})


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("before", ["published", "unpublished"])
def test_deleted_files_leave_whatever_tree_they_were_in(
    share: Path, importer: Importer, database: Database, rows: Connection, run_all: Callable[[], int], before: str
) -> None:
    state(database, "unpublished")
    if before == "unpublished":
        run_all()
    state(database, "deleted")
    run_all()
    assert [files(share / tree) for tree in ("published", "unpublished", "deleted")] == [{}, {}, FILES]
    assert {each["tree"] for each in rows.execute("SELECT tree FROM recording_formats")} == {"deleted"}


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("archive", [FILES, archives.presentation(content=b"rebuilt"), archives.video()])
@pytest.mark.parametrize("bytes_moved", [True, False])
def test_a_deleted_recording_stays_deleted_through_any_archive(
    share: Path,
    importer: Importer,
    database: Database,
    rows: Connection,
    run_all: Callable[[], int],
    archive: dict[str, bytes],
    bytes_moved: bool,
) -> None:
    state(database, "deleted")
    if bytes_moved:
        run_all()
    archives.write(share / "spool" / "again.tar", archive)
    run_all()
    assert files(share / "published") == files(share / "unpublished") == {}
    assert row(rows)["state"] == "deleted"
    with database.transaction() as connection:
        assert recordings.search(connection, 1, Query(), RecordingCounts()).recordings == []
    closed = rows.execute("SELECT state, reason FROM imports WHERE archive = 'again.tar'").fetchall()
    assert closed == [{"state": "done", "reason": "the recording is deleted and stays so"}]
    assert not (share / "spool" / "again.tar").exists()


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("bytes_moved", [True, False])
def test_an_unpublished_recording_stays_unpublished_through_a_new_archive(
    share: Path,
    importer: Importer,
    database: Database,
    rows: Connection,
    run_all: Callable[[], int],
    bytes_moved: bool,
) -> None:
    state(database, "unpublished")
    if bytes_moved:
        run_all()
    rebuilt = archives.presentation(content=b"rebuilt")
    archives.write(share / "spool" / "again.tar", rebuilt)
    run_all()
    assert row(rows)["state"] == "unpublished"
    assert files(share / "published") == {}
    assert files(share / "unpublished") == rebuilt | archives.video()


@pytest.mark.usefixtures("present")
def test_edits_survive_a_new_archive(share: Path, importer: Importer, database: Database, rows: Connection) -> None:
    with database.transaction() as connection:
        edits = {"meta_meetingName": "My title", "meta_bbb-origin": "", "meta_new": "1", "protect": "true"}
        assert recordings.edit(connection, 1, [RECORD_ID], edits) == 1
    again = archives.presentation_xml(name="Their title", meta="<bbb-origin>x</bbb-origin><course>9</course>")
    archives.write(share / "spool" / "again.tar", archives.presentation(xml=again))
    importer.run_once()
    with database.transaction() as connection:
        (found,) = recordings.search(connection, 1, Query(), RecordingCounts()).recordings
    assert (found.name, found.protected) == ("My title", True)
    assert found.metadata == {
        "isBreakout": "false",
        "meetingId": "course-77",
        "meetingName": "My title",
        "new": "1",
        # What no user touched follows the archive.
        "course": "9",
    }


@pytest.mark.usefixtures("present")
def test_an_edit_that_was_removed_again_stays_removed(
    share: Path, importer: Importer, database: Database, rows: Connection
) -> None:
    for value in ("mine", ""):
        with database.transaction() as connection:
            recordings.edit(connection, 1, [RECORD_ID], {"meta_bbb-origin": value})
    archives.write(share / "spool" / "again.tar", archives.presentation(content=b"rebuilt"))
    importer.run_once()
    assert "bbb-origin" not in row(rows)["metadata"]


def test_an_archive_that_says_unpublished_is_believed_the_first_time(
    share: Path, importer: Importer, rows: Connection
) -> None:
    xml = archives.presentation_xml(state="unpublished", published="false")
    archives.write(share / "spool" / "a.tar", archives.presentation(xml=xml))
    importer.run_once()
    assert row(rows)["state"] == "unpublished"
    assert (files(share / "published"), len(files(share / "unpublished"))) == ({}, 4)


@pytest.mark.usefixtures("present")
def test_one_lost_format_does_not_keep_the_other_from_moving(
    share: Path, importer: Importer, database: Database, rows: Connection
) -> None:
    (share / "published" / "presentation" / RECORD_ID).rename(share / "lost")
    state(database, "unpublished")
    importer.run_once()
    assert files(share / "unpublished") == archives.video()
    found = row(rows)
    assert (found["move_due"], found["move_attempts"]) == (True, 1)
    assert "the files are in no tree; import the archive again" in found["move_reason"]
    # Deleting what is lost is no trouble.
    state(database, "deleted")
    while importer.run_once():
        pass
    assert row(rows)["move_due"] is False
    assert files(share / "deleted") == archives.video()


@pytest.mark.usefixtures("present")
def test_a_change_during_an_import_is_not_lost(
    share: Path,
    importer: Importer,
    database: Database,
    rows: Connection,
    run_all: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user unpublishes right between the importer's look at the row and its commit."""
    place = importer._share.place

    def place_slowly(*arguments: Any) -> None:
        state(database, "unpublished")
        place(*arguments)

    monkeypatch.setattr(importer._share, "place", place_slowly)
    rebuilt = archives.presentation(content=b"rebuilt")
    archives.write(share / "spool" / "again.tar", rebuilt)
    importer.run_once()
    run_all()
    assert row(rows)["state"] == "unpublished"
    assert (files(share / "published"), files(share / "unpublished")) == ({}, rebuilt | archives.video())


@pytest.mark.usefixtures("present")
def test_a_request_never_waits_for_files_in_motion(database: Database, rows: Connection) -> None:
    with database.transaction() as importing:
        assert recordings.try_lock_files(importing, RECORD_ID)
        rows.execute("SET statement_timeout = '5s'")
        assert recordings.change_state(rows, 1, [RECORD_ID], "deleted") == 1
    assert row(rows)["state"] == "deleted"
