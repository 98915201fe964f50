"""Archives that are as they should be: what becomes of files, rows and the archive."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from balancer.importing.importer import Importer
from balancer.importing.share import MARKER, ShareError
from balancer.storage.postgresql.database import Connection
from tests import archives
from tests.archives import OTHER_ID, RECORD_ID


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a directory, by relative path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def one(rows: Connection, query: str) -> dict[str, object]:
    found = rows.execute(query.encode()).fetchall()
    assert len(found) == 1, found
    return found[0]


def nothing_left(share: Path) -> bool:
    """No archive, staging or trash."""
    left = [path for name in ("spool", ".incoming", ".trash") for path in (share / name).rglob("*") if path.is_file()]
    return left == []


def test_an_archive_becomes_files_and_rows_and_goes(share: Path, importer: Importer, rows: Connection) -> None:
    files = archives.presentation()
    archives.write(share / "spool" / f"{RECORD_ID}-presentation.tar", files)
    assert importer.run_once() is True
    assert importer.run_once() is False
    assert tree(share / "published") == files
    recording = one(rows, "SELECT * FROM recordings")
    assert {
        name: recording[name] for name in ("record_id", "meeting_id", "name", "state", "protected", "move_due")
    } == {
        "record_id": RECORD_ID,
        "meeting_id": "course-77",
        "name": "Algebra",
        "state": "published",
        "protected": False,
        "move_due": False,
    }
    assert recording["metadata"] == {
        "isBreakout": "false",
        "meetingId": "course-77",
        "meetingName": "Algebra",
        "bbb-origin": "moodle",
    }
    stored = one(rows, "SELECT * FROM recording_formats")
    assert (stored["url"], stored["tree"], stored["files"]) == (
        f"/playback/presentation/2.3/{RECORD_ID}",
        "published",
        4,
    )
    assert one(rows, "SELECT * FROM imports")["state"] == "done"
    assert nothing_left(share)


def test_several_formats_in_one_archive(share: Path, importer: Importer, rows: Connection) -> None:
    files = archives.presentation() | archives.video()
    archives.write(share / "spool" / f"{RECORD_ID}.tar", files)
    assert importer.run_once()
    assert tree(share / "published") == files
    assert [row["format"] for row in rows.execute("SELECT format FROM recording_formats ORDER BY format")] == [
        "presentation",
        "video",
    ]
    assert one(rows, "SELECT participants FROM recordings")["participants"] == 7


@pytest.mark.parametrize("video_first", [True, False])
def test_one_archive_for_each_format_in_any_order(
    share: Path, importer: Importer, rows: Connection, run_all: Callable[[], int], video_first: bool
) -> None:
    parts = [("b", archives.presentation()), ("a", archives.video())]
    for name, files in parts if not video_first else parts[::-1]:
        archives.write(share / "spool" / f"{name}.tar", files)
        run_all()
    assert tree(share / "published") == archives.presentation() | archives.video()
    assert one(rows, "SELECT name, meeting_id, participants, raw_size FROM recordings") == {
        "name": "Algebra",
        "meeting_id": "course-77",
        "participants": 7,
        "raw_size": 91237554,
    }


def test_the_tenant_is_that_of_the_meeting(share: Path, importer: Importer, rows: Connection) -> None:
    tenant = one(rows, "INSERT INTO tenants (name) VALUES ('school') RETURNING id")["id"]
    rows.execute(
        "INSERT INTO meetings"
        " (tenant_id, meeting_id, node_name, state, internal_meeting_id, expected_users, finished_at)"
        " VALUES (%s, 'the real id', 'n1', 'ended', %s, 1, now())",
        [tenant, RECORD_ID],
    )
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    assert one(rows, "SELECT tenant_id, tenant_assumed, meeting_id FROM recordings") == {
        "tenant_id": tenant,
        "tenant_assumed": False,
        # What a node writes into an archive does not decide whose room it is.
        "meeting_id": "the real id",
    }


def test_a_breakout_rooms_tenant_is_its_parents(share: Path, importer: Importer, rows: Connection) -> None:
    tenant = one(rows, "INSERT INTO tenants (name) VALUES ('school') RETURNING id")["id"]
    rows.execute(
        "INSERT INTO meetings"
        " (tenant_id, meeting_id, node_name, state, internal_meeting_id, expected_users, finished_at)"
        " VALUES (%s, 'parent', 'n1', 'ended', %s, 1, now())",
        [tenant, OTHER_ID],
    )
    extra = f'<breakout parentMeetingId="{OTHER_ID}" sequence="2" meetingId="x" freeJoin="false"/>'
    xml = archives.presentation_xml(extra=extra)
    archives.write(share / "spool" / "a.tar", archives.presentation(xml=xml))
    importer.run_once()
    found = one(rows, "SELECT tenant_id, tenant_assumed, meeting_id, breakout FROM recordings")
    assert found["tenant_id"] == tenant
    assert found["meeting_id"] == "course-77"
    assert found["breakout"] == {"parentId": OTHER_ID, "sequence": "2", "freeJoin": "false"}


def test_an_unknown_meeting_goes_to_the_default_tenant_and_is_flagged(
    share: Path, importer: Importer, rows: Connection
) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    assert one(rows, "SELECT t.name, r.tenant_assumed FROM recordings r JOIN tenants t ON t.id = r.tenant_id") == {
        "name": "default",
        "tenant_assumed": True,
    }


def two_tenants_meetings(rows: Connection, *hosts: str, record_id: str = RECORD_ID) -> list[int]:
    """A meeting of each of two tenants, on a node each, with one internalMeetingID; the tenants' ids."""
    found = []
    for number, host in enumerate(hosts, 1):
        values = {"name": f"tenant{number}", "node": f"n{number}", "id": record_id}
        row = rows.execute(
            "WITH tenant AS (INSERT INTO tenants (name) VALUES (%(name)s) RETURNING id),"
            " node AS (INSERT INTO nodes (name, url, secret) VALUES (%(node)s, %(url)s, 'secret') RETURNING id)"
            " INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id,"
            " expected_users, finished_at)"
            " SELECT tenant.id, 'algebra', node.id, %(node)s, 'ended', %(id)s, 1, now() FROM tenant, node"
            " RETURNING tenant_id",
            values | {"url": f"https://{host}/bigbluebutton/api/"},
        ).fetchone()
        assert row
        found.append(int(row["tenant_id"]))
    return found


def theirs() -> dict[str, bytes]:
    """What the second tenant's node makes of its meeting."""
    xml = archives.presentation_xml(link=f"https://node2.example.org/playback/presentation/2.3/{RECORD_ID}")
    return archives.presentation(content=b"theirs", xml=xml)


@pytest.mark.parametrize(
    ("hosts", "whose"),
    [(("node1.example.org", "node2.example.org"), 0), (("node2.example.org", "node1.example.org"), 1)],
)
def test_of_two_tenants_with_such_a_meeting_it_is_the_one_whose_node_made_it(
    share: Path, importer: Importer, rows: Connection, hosts: tuple[str, str], whose: int
) -> None:
    tenants = two_tenants_meetings(rows, *hosts)
    archives.write(share / "spool" / "a.tar", archives.video() | archives.presentation())
    importer.run_once()
    assert one(rows, "SELECT tenant_id, tenant_assumed, meeting_id FROM recordings") == {
        "tenant_id": tenants[whose],
        "tenant_assumed": False,
        "meeting_id": "algebra",
    }


def test_where_two_tenants_have_such_a_meeting_and_nothing_tells_whose_it_is_none_gets_it(
    share: Path, importer: Importer, rows: Connection
) -> None:
    two_tenants_meetings(rows, "n1.internal", "n2.internal")
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    assert one(rows, "SELECT t.name, r.tenant_assumed FROM recordings r JOIN tenants t ON t.id = r.tenant_id") == {
        "name": "default",
        "tenant_assumed": True,
    }


def test_a_breakout_room_of_two_such_parents_is_the_one_s_whose_node_made_it(
    share: Path, importer: Importer, rows: Connection
) -> None:
    _, second = two_tenants_meetings(rows, "node2.example.org", "node1.example.org", record_id=OTHER_ID)
    extra = f'<breakout parentMeetingId="{OTHER_ID}" sequence="2" meetingId="x" freeJoin="false"/>'
    archives.write(share / "spool" / "a.tar", archives.presentation(xml=archives.presentation_xml(extra=extra)))
    importer.run_once()
    assert one(rows, "SELECT tenant_id FROM recordings")["tenant_id"] == second


def test_the_other_tenant_s_archive_does_not_replace_the_files_that_are_there(
    share: Path, importer: Importer, rows: Connection
) -> None:
    two_tenants_meetings(rows, "node1.example.org", "node2.example.org")
    first = archives.presentation()
    archives.write(share / "spool" / "a.tar", first)
    importer.run_once()
    archives.write(share / "spool" / "b.tar", theirs())
    importer.run_once()
    assert tree(share / "published") == first
    refused = one(rows, "SELECT reason FROM imports WHERE state = 'refused'")
    assert "may be another tenant's" in str(refused["reason"])
    assert [path.name for path in (share / "spool" / "failed").glob("*.tar")] == ["b.tar"]
    # What the first one's node adds is taken.
    archives.write(share / "spool" / "c.tar", archives.video())
    importer.run_once()
    assert (share / "published" / "video" / RECORD_ID).is_dir()


def test_the_other_tenant_s_archive_is_kept_where_the_first_one_deleted_theirs(
    share: Path, importer: Importer, rows: Connection
) -> None:
    two_tenants_meetings(rows, "node1.example.org", "node2.example.org")
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    rows.execute("UPDATE recordings SET state = 'deleted'")
    archives.write(share / "spool" / "b.tar", theirs())
    archives.write(share / "spool" / "c.tar", archives.presentation(content=b"made again"))
    while importer.run_once():
        pass
    assert [path.name for path in (share / "spool" / "failed").glob("*.tar")] == ["b.tar"]
    assert one(rows, "SELECT reason FROM imports WHERE archive = 'c.tar'")["reason"] == (
        "the recording is deleted and stays so"
    )


def test_an_archive_of_a_tenant_replaces_no_other_one_s_whose_meeting_was_forgotten(
    share: Path, importer: Importer, rows: Connection
) -> None:
    first, _ = two_tenants_meetings(rows, "node1.example.org", "node2.example.org")
    mine = archives.presentation()
    archives.write(share / "spool" / "a.tar", mine)
    importer.run_once()
    rows.execute("DELETE FROM meetings WHERE tenant_id = %s", [first])
    archives.write(share / "spool" / "b.tar", theirs())
    importer.run_once()
    assert tree(share / "published") == mine
    assert [path.name for path in (share / "spool" / "failed").glob("*.tar")] == ["b.tar"]


def test_an_identical_archive_changes_nothing(share: Path, importer: Importer, rows: Connection) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    directory = share / "published" / "presentation" / RECORD_ID
    before = (directory.stat().st_ino, rows.execute("SELECT * FROM recordings").fetchall())
    archives.write(share / "spool" / "a.tar", archives.presentation())
    assert importer.run_once()
    assert (directory.stat().st_ino, rows.execute("SELECT * FROM recordings").fetchall()) == before
    reasons = [row["reason"] for row in rows.execute("SELECT reason FROM imports ORDER BY id")]
    assert reasons == ["imported presentation", "identical to an archive imported before"]
    assert nothing_left(share)


def test_a_growing_archive_leaves_formats_that_are_in_place_alone(share: Path, importer: Importer) -> None:
    """Scalelite's script sends all formats again whenever one more is done."""
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    inode = (share / "published" / "presentation" / RECORD_ID).stat().st_ino
    archives.write(share / "spool" / "a.tar", archives.presentation() | archives.video())
    importer.run_once()
    assert (share / "published" / "presentation" / RECORD_ID).stat().st_ino == inode
    assert (share / "published" / "video" / RECORD_ID).is_dir()


def test_an_identical_archive_repairs_files_that_are_gone(share: Path, importer: Importer) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    (share / "published" / "presentation" / RECORD_ID).rename(share / "lost")
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()
    assert tree(share / "published") == archives.presentation()


def test_a_rebuilt_recording_replaces_the_old_files_whole(share: Path, importer: Importer) -> None:
    old = archives.presentation(content=b"old") | {f"presentation/{RECORD_ID}/only-in-the-old.txt": b"x"}
    archives.write(share / "spool" / "a.tar", old)
    importer.run_once()
    archives.write(share / "spool" / "a.tar", archives.presentation(content=b"new"))
    importer.run_once()
    assert tree(share / "published") == archives.presentation(content=b"new")
    assert nothing_left(share)


@pytest.mark.parametrize("name", [".a.tar.Xy12", ".a.tar", "a.tar.part", "a.tar~", "a.tmp", "A.TAR"])
def test_names_of_transfers_under_way_are_left_alone(share: Path, importer: Importer, name: str) -> None:
    archives.write(share / "spool" / "b.tar", archives.presentation()).rename(share / "spool" / name)
    assert importer.run_once() is False
    assert (share / "spool" / name).exists()


def test_oldest_archives_come_first(share: Path, importer: Importer, rows: Connection) -> None:
    for number, name in enumerate(["c.tar", "a.tar", "b.tar"]):
        path = archives.write(share / "spool" / name, archives.presentation(f"{number}a-{number}"))
        os.utime(path, (1000 + number, 1000 + number))
    while importer.run_once():
        pass
    assert [row["archive"] for row in rows.execute("SELECT archive FROM imports ORDER BY id")] == [
        "c.tar",
        "a.tar",
        "b.tar",
    ]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_can_be_read_by_the_web_server_and_written_by_nobody_else(
    share: Path, importer: Importer, umask: int
) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    before = os.umask(umask)
    try:
        importer.run_once()
    finally:
        os.umask(before)
    assert (share / "published").stat().st_mode & 0o777 == 0o755
    assert (share / "published" / "presentation").stat().st_mode & 0o777 == 0o755
    assert (share / "spool" / ".work").stat().st_mode & 0o777 == 0o750
    directory = share / "published" / "presentation" / RECORD_ID
    modes = {path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in [directory, *directory.rglob("*")] if path.is_dir()} == {0o755}


def test_nothing_is_written_without_the_shares_marker(share: Path, importer: Importer, rows: Connection) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    (share / MARKER).unlink()
    before = sorted(str(path) for path in share.rglob("*"))
    with pytest.raises(ShareError, match=r"\.bbb-fleet-share is missing: the share is not mounted"):
        importer.run_once()
    assert sorted(str(path) for path in share.rglob("*")) == before
    assert rows.execute("SELECT * FROM imports").fetchall() == []
    assert importer.try_once() is False
