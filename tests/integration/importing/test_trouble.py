"""Trouble around the importer: several of them, a full disk, a database that goes, a share that is not as it should."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from balancer.importing import process_identity
from balancer.importing.importer import Importer
from balancer.importing.share import MARKER, ShareError
from balancer.settings import Settings
from balancer.storage.postgresql.database import Connection, Database, connect
from lab.services import PostgreSQL
from tests import archives
from tests.archives import OTHER_ID, RECORD_ID

FILES = archives.presentation()
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def work_until(importer: Importer, path: Path, seconds: float = 60) -> None:
    """Let the importer work until a path is there."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        importer.try_once()
        assert time.monotonic() < deadline, f"{path} is not there after {seconds} s"


def import_all(settings: Settings, share: Path, rows: Connection, archives_there: int, *, workers: int) -> list[str]:
    """Let importers of their own processes work until every archive is in; what each of them logged."""
    environment = {
        "PATH": os.environ["PATH"],
        "BALANCER_DATABASE_URL": settings.database_url,
        "BALANCER_REDIS_URL": settings.redis_url,
        "BALANCER_SECRETS": settings.secrets[0],
        "BALANCER_PUBLIC_URL": settings.public_url,
        "BALANCER_RECORDINGS_ROOT": str(share),
        "BALANCER_IMPORT_INTERVAL": "0.1",
    }
    code = "from balancer import settings; from balancer.importing import importer; importer.main(settings.load())"
    with connect(settings.database_url) as holding:
        # None begins before all are there, because the first could finish the work before the next has started.
        holding.execute("LOCK TABLE imports")
        running = [
            subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
            for _ in range(workers)
        ]
        deadline = time.monotonic() + 60
        while rows.execute(WAITING).rowcount < workers:
            assert time.monotonic() < deadline, "the importers do not start"
            time.sleep(0.05)
    deadline = time.monotonic() + 60
    count = "SELECT count(*) AS n FROM imports WHERE state = 'done'"
    while (rows.execute(count).fetchone() or {"n": 0})["n"] < archives_there and time.monotonic() < deadline:
        time.sleep(0.1)
    for worker in running:
        worker.send_signal(signal.SIGTERM)
    logs = [worker.communicate(timeout=20)[1] for worker in running]
    assert [worker.returncode for worker in running] == [0] * workers, logs
    return logs


def test_importers_side_by_side_take_each_archive_once(settings: Settings, share: Path, rows: Connection) -> None:
    ids = [f"{number:040x}-1757000000{number:03}" for number in range(24)]
    for record_id in ids:
        archives.write(share / "spool" / f"{record_id}.tar", archives.presentation(record_id))
    logs = import_all(settings, share, rows, len(ids), workers=3)
    found = rows.execute("SELECT archive, state, attempts FROM imports").fetchall()
    assert sorted((each["archive"], each["state"], each["attempts"]) for each in found) == sorted(
        (f"{record_id}.tar", "done", 1) for record_id in ids
    )
    for record_id in ids:
        assert (share / "published" / "presentation" / record_id / "metadata.xml").is_file()
    assert sum("import done" in log for log in logs) >= 2, "one importer did all the work"


def test_two_archives_of_one_recording_at_once(settings: Settings, share: Path, rows: Connection) -> None:
    """Each format comes in an archive of its own; two importers take them side by side, many times over."""
    for turn in range(10):
        record_id = f"{turn:040x}-1757000000001"
        archives.write(share / "spool" / f"{turn}-a.tar", archives.presentation(record_id))
        archives.write(share / "spool" / f"{turn}-b.tar", archives.video(record_id))
    import_all(settings, share, rows, 20, workers=2)
    assert len(list((share / "published").glob("*/*"))) == 20
    counted = "SELECT count(*) AS n FROM recordings UNION ALL SELECT count(*) FROM recording_formats"
    assert [each["n"] for each in rows.execute(counted)] == [10, 20]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A share on a disk of 70 MB, of which the importer wants 64 MB to stay free."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", root], check=True)
    try:
        (root / "spool").mkdir()
        (root / MARKER).touch()
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def test_an_archive_that_does_not_fit_waits_and_keeps_nobody_waiting(
    small_disk: Path, settings: Settings, database: Database, rows: Connection
) -> None:
    importer = Importer(replace(settings, recordings_root=small_disk), database)
    big = FILES | {f"presentation/{RECORD_ID}/big.webm": bytes(4_000_000)}
    small_id = f"{7:040x}-1757000000007"
    archives.write(small_disk / "spool" / "a-big.tar", big)
    archives.write(small_disk / "spool" / "b-small.tar", archives.presentation(small_id))
    work_until(importer, small_disk / "published" / "presentation" / small_id)
    waiting = rows.execute("SELECT state, reason FROM imports WHERE archive = 'a-big.tar'").fetchone()
    assert waiting is not None
    assert waiting["state"] == "waiting"
    assert "bytes are needed on the share" in waiting["reason"]
    assert not (small_disk / "published" / "presentation" / RECORD_ID).exists()
    subprocess.run(["mount", "-o", "remount,size=90m", small_disk], check=True)
    work_until(importer, small_disk / "published" / "presentation" / RECORD_ID)


def test_an_archive_that_had_to_wait_replaces_nothing_that_came_later(
    settings: Settings, share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two publications waits for room, and brings in only what the second does not have."""

    def full(needed_bytes: int) -> None:
        raise OSError("no space")

    archives.write(share / "spool" / "first.tar", FILES | archives.video())
    with monkeypatch.context() as patched:
        patched.setattr(importer._share, "require_space", full)
        importer.run_once()
    archives.write(share / "spool" / "second.tar", archives.presentation(content=b"anew"))
    importer.run_once()
    rows.execute("UPDATE imports SET not_before = now() WHERE state = 'waiting'")
    importer.run_once()
    found = rows.execute("SELECT archive, state, reason FROM imports ORDER BY id").fetchall()
    assert [(each["archive"], each["state"], each["reason"]) for each in found] == [
        ("first.tar", "done", "imported video"),
        ("second.tar", "done", "imported presentation"),
    ]
    published = share / "published"
    assert (published / "presentation" / RECORD_ID / "video" / "webcams.webm").read_bytes() == b"anew" * 1000
    assert (published / "video" / RECORD_ID / "video-0.m4v").is_file()


def test_a_disk_that_fills_while_unpacking_loses_nothing(
    small_disk: Path, settings: Settings, database: Database, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write to the same disk: the look at its free space was right, and yet it is full in the middle."""
    monkeypatch.setattr("balancer.importing.share._RESERVE", -(10**9))
    importer = Importer(replace(settings, recordings_root=small_disk), database)
    big = FILES | {f"presentation/{RECORD_ID}/big{part}.webm": bytes(10_000_000) for part in range(4)}
    archive = archives.write(small_disk / "spool" / "big.tar", big).stat().st_size
    for _ in range(3):
        importer.run_once()
    (job,) = rows.execute("SELECT id, state, attempts, faults, reason FROM imports").fetchall()
    assert (job["state"], job["faults"]) == ("waiting", 0)
    assert "No space left on device" in job["reason"]
    assert importer._share.archive(job["id"]).stat().st_size == archive
    assert rows.execute("SELECT * FROM recordings").fetchall() == []
    assert list((small_disk / "published").rglob("*")) == []
    subprocess.run(["mount", "-o", "remount,size=120m", small_disk], check=True)
    work_until(importer, small_disk / "published" / "presentation" / RECORD_ID)
    assert (small_disk / "published" / "presentation" / RECORD_ID / "big3.webm").stat().st_size == 10_000_000


def test_a_database_that_is_restarted_in_the_middle(
    own_postgresql: PostgreSQL, settings: Settings, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(own_postgresql.url(), application_name="test", size=2)
    database.open()
    importer = Importer(replace(settings, database_url=own_postgresql.url()), database)
    place = importer._share.place

    def place_while_the_database_goes(*arguments: object) -> None:
        monkeypatch.undo()
        place(*arguments)
        own_postgresql.stop()

    monkeypatch.setattr(importer._share, "place", place_while_the_database_goes)
    archives.write(share / "spool" / "a.tar", FILES)
    assert importer.try_once() is False
    # Away: nothing happens, nothing is lost, and the reason is reported.
    assert importer.try_once() is False
    assert len(list((share / "spool" / ".work").iterdir())) == 1
    own_postgresql.start()
    deadline = time.monotonic() + 60
    while list((share / "spool" / ".work").iterdir()):
        importer.try_once()
        assert time.monotonic() < deadline, "not imported within 60 s of the database's return"
    with connect(own_postgresql.url()) as connection:
        states = connection.execute("SELECT state, faults FROM imports").fetchall()
        formats = connection.execute("SELECT tree FROM recording_formats").fetchall()
    assert (states, formats) == ([{"state": "done", "faults": 0}], [{"tree": "published"}])
    assert (share / "published" / "presentation" / RECORD_ID / "metadata.xml").is_file()
    assert list((share / ".trash").iterdir()) == list((share / ".incoming").iterdir()) == []
    database.close()


def test_a_lease_that_is_over_passes_to_another_host(
    settings: Settings, share: Path, importer: Importer, rows: Connection
) -> None:
    """The other host died with its archive in hand."""
    importer.run_once()
    worker = "elsewhere:1:1"
    rows.execute(
        "INSERT INTO imports (archive, state, worker, host, lease_until)"
        " VALUES ('a.tar', 'working', %s, 'elsewhere', now() + interval '1 hour')",
        [worker],
    )
    archives.write(share / "spool" / ".work" / "1.tar", FILES)
    assert importer.run_once() is False, "an import was taken away from a host that may be alive"
    rows.execute("UPDATE imports SET lease_until = now()")
    assert importer.run_once() is True
    found = rows.execute("SELECT state, worker, attempts FROM imports").fetchall()
    assert found == [{"state": "done", "worker": process_identity.name(), "attempts": 2}]


def test_an_import_that_was_taken_over_is_rolled_back(
    share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = importer._share.place

    def place_late(*arguments: object) -> None:
        place(*arguments)
        with connect(rows.info.dsn, autocommit=True) as other:
            other.execute("SET lock_timeout = '200ms'")
            # The row is locked by its owner's transaction: no other importer can take it over before that ends.
            with pytest.raises(Exception, match="lock timeout"):
                other.execute("UPDATE imports SET worker = 'thief:1:1'")

    monkeypatch.setattr(importer._share, "place", place_late)
    archives.write(share / "spool" / "a.tar", FILES)
    importer.run_once()
    assert rows.execute("SELECT state FROM imports").fetchall() == [{"state": "done"}]


def test_a_claim_lost_while_unpacking_changes_nothing(
    share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = importer._read_metadata

    def read_late(*arguments: object) -> object:
        rows.execute("UPDATE imports SET worker = 'thief:1:1', lease_until = now() + interval '1 hour'")
        return read(*arguments)

    monkeypatch.setattr(importer, "_read_metadata", read_late)
    archives.write(share / "spool" / "a.tar", FILES)
    importer.run_once()
    assert rows.execute("SELECT state, worker FROM imports").fetchall() == [{"state": "working", "worker": "thief:1:1"}]
    assert list((share / "published").rglob("*")) == []
    assert rows.execute("SELECT * FROM recordings").fetchall() == []
    assert (share / "spool" / ".work" / "1.tar").exists()


def test_an_archive_without_a_row_goes_back_to_the_inbox(share: Path, importer: Importer, rows: Connection) -> None:
    """The database is older than the share: it was restored from a backup."""
    for directory in (".incoming/41", ".trash/41", "spool/.work"):
        (share / directory).mkdir(parents=True)
    archives.write(share / "spool" / ".work" / "41.tar", FILES)
    importer.run_once()
    importer.run_once()
    assert rows.execute("SELECT archive, state FROM imports").fetchall() == [
        {"archive": "recovered-41.tar", "state": "done"}
    ]
    assert list((share / ".incoming").iterdir()) == list((share / ".trash").iterdir()) == []


def test_an_archive_that_goes_back_to_the_inbox_replaces_none_there(
    share: Path, importer: Importer, run_all: Callable[[], int]
) -> None:
    (share / "spool/.work").mkdir()
    archives.write(share / "spool" / "recovered-41.tar", archives.presentation(OTHER_ID))
    archives.write(share / "spool" / ".work" / "41.tar", FILES)
    run_all()
    assert {path.name for path in (share / "published/presentation").iterdir()} == {RECORD_ID, OTHER_ID}


def test_a_claimed_archive_is_never_overwritten(share: Path, importer: Importer, rows: Connection) -> None:
    importer.run_once()
    (share / "spool" / ".work" / "1.tar").write_bytes(b"somebody's")
    archives.write(share / "spool" / "a.tar", FILES)
    with pytest.raises(ShareError, match="the database is older than the share"):
        importer.run_once()
    assert (share / "spool" / ".work" / "1.tar").read_bytes() == b"somebody's"
    assert (share / "spool" / "a.tar").exists()
    assert rows.execute("SELECT * FROM imports").fetchall() == []


def test_a_share_that_goes_in_the_middle_commits_nothing(
    share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = importer._share.place

    def place_and_lose(*arguments: object) -> None:
        place(*arguments)
        (share / MARKER).rename(share / "marker")

    monkeypatch.setattr(importer._share, "place", place_and_lose)
    archives.write(share / "spool" / "a.tar", FILES)
    importer.run_once()
    assert rows.execute("SELECT * FROM recordings").fetchall() == []
    (found,) = rows.execute("SELECT state, reason FROM imports").fetchall()
    assert found["state"] == "waiting"
    assert "the share is not mounted" in found["reason"]
    monkeypatch.undo()
    (share / "marker").rename(share / MARKER)
    deadline = time.monotonic() + 60
    while not rows.execute("SELECT 1 FROM recordings").fetchall():
        importer.run_once()
        assert time.monotonic() < deadline


def test_a_tree_that_is_a_mount_of_its_own_is_refused(
    small_disk: Path, settings: Settings, database: Database, share: Path
) -> None:
    (share / "published").mkdir()
    subprocess.run(["mount", "--bind", small_disk, share / "published"], check=True)
    try:
        with pytest.raises(ShareError, match="is a mount of its own"):
            Importer(settings, database).run_once()
    finally:
        subprocess.run(["umount", share / "published"], check=True)


def test_no_marker_is_needed_where_that_is_said(settings: Settings, database: Database, share: Path) -> None:
    (share / MARKER).unlink()
    archives.write(share / "spool" / "a.tar", FILES)
    importer = Importer(replace(settings, share_marker="off"), database)
    assert importer.run_once() is True
    assert (share / "published" / "presentation" / RECORD_ID).is_dir()


def test_an_archive_that_cannot_be_claimed_is_passed_over(
    share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = importer._share.claim

    def fussy(name: str, import_id: int) -> bool:
        if name == "a.tar":
            raise PermissionError(1, "Operation not permitted")
        return claim(name, import_id)

    monkeypatch.setattr(importer._share, "claim", fussy)
    archives.write(share / "spool" / "a.tar", FILES)
    os.utime(share / "spool" / "a.tar", (1, 1))
    archives.write(share / "spool" / "b.tar", FILES)
    assert importer.run_once() is True
    assert importer.run_once() is False
    assert rows.execute("SELECT archive, state FROM imports").fetchall() == [{"archive": "b.tar", "state": "done"}]


def test_sigterm_finishes_the_item_in_hand(settings: Settings, share: Path, rows: Connection) -> None:
    for number in range(3):
        record_id = f"{number:040x}-1757000000001"
        files = archives.presentation(record_id) | {
            f"presentation/{record_id}/{part}.bin": os.urandom(2_000_000) for part in range(10)
        }
        archives.write(share / "spool" / f"{number}.tar", files)
    code = (
        "import os, signal, sys\n"
        "from balancer import settings\nfrom balancer.importing import importer, tarball\n"
        "whole = tarball.unpack\n"
        "def unpack(*given):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return whole(*given)\n"
        "tarball.unpack = unpack\n"
        "importer.main(settings.Settings(database_url=sys.argv[1], redis_url='', secrets=('x' * 16,),"
        " public_url='', recordings_root=__import__('pathlib').Path(sys.argv[2])))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, settings.database_url, share], timeout=60, check=False)
    assert done.returncode == 0
    assert rows.execute("SELECT archive, state FROM imports").fetchall() == [{"archive": "0.tar", "state": "done"}]
    assert sorted(path.name for path in (share / "spool").glob("*.tar")) == ["1.tar", "2.tar"]
