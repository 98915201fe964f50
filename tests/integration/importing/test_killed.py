"""kill -9 at every step: whatever was in hand is finished or reverted by the next importer, and nothing is lost."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from balancer.importing.importer import Importer
from balancer.importing.share import MARKER
from balancer.settings import Settings
from balancer.storage.postgresql.database import Connection, Database
from tests import archives
from tests.archives import RECORD_ID
from tests.integration.importing import killed

OLD = archives.presentation(content=b"old")
NEW = archives.presentation(content=b"new") | archives.video()


def reset(share: Path, rows: Connection) -> None:
    """An empty share and an empty ledger."""
    shutil.rmtree(share)
    (share / "spool").mkdir(parents=True)
    (share / MARKER).touch()
    rows.execute("TRUNCATE recordings, recording_formats, imports RESTART IDENTITY")


def import_all(settings: Settings) -> None:
    """A fresh importer on the same host, until nothing is open."""
    database = Database(settings.database_url, application_name="after", size=2)
    database.open()
    try:
        importer = Importer(settings, database)
        while importer.run_once():
            pass
    finally:
        database.close()


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def leftovers(share: Path) -> list[str]:
    places = (share / "spool" / ".work", share / ".incoming", share / ".trash")
    return [str(path) for place in places for path in place.rglob("*")]


def kill_at_every_step(settings: Settings, prepare: Callable[[], None], check: Callable[[int], None]) -> int:
    """prepare, run and kill before step 1, 2, 3 …, check; until a run comes through. Gives the number of steps."""
    for step in range(1, killed.MANY):
        prepare()
        ended = killed.run(settings, step)
        assert ended in (signal.SIGKILL, None)
        check(step)
        if ended is None:
            return step
    raise AssertionError(f"more than {killed.MANY} steps")


@pytest.fixture
def each_step(settings: Settings, share: Path, rows: Connection) -> Callable[..., int]:
    def go(prepare: Callable[[], None], check: Callable[[int], None]) -> int:
        def fresh() -> None:
            reset(share, rows)
            prepare()

        return kill_at_every_step(settings, fresh, check)

    return go


def nothing_is_lost(share: Path, rows: Connection, archive: bytes, step: int) -> None:
    """Right after the crash: the archive is still there whole, unless its files and rows are."""
    kept = [path for path in (share / "spool").rglob("*.tar") if path.read_bytes() == archive]
    done = rows.execute("SELECT 1 FROM imports WHERE state = 'done' AND archive = 'new.tar'").fetchall()
    if not kept:
        assert done, f"step {step}: neither archive nor row"
    if done:
        assert files(share / "published") == NEW, f"step {step}: row without its files"


@pytest.mark.slow
def test_first_import(settings: Settings, share: Path, rows: Connection, each_step: Callable[..., int]) -> None:
    def prepare() -> None:
        archives.write(share / "spool" / "new.tar", NEW)

    def check(step: int) -> None:
        archive = archives.write(share.parent / "copy.tar", NEW).read_bytes()
        nothing_is_lost(share, rows, archive, step)
        import_all(settings)
        assert files(share / "published") == NEW, f"step {step}"
        assert rows.execute("SELECT archive, state FROM imports").fetchall() == [
            {"archive": "new.tar", "state": "done"}
        ]
        stored = rows.execute("SELECT format, tree FROM recording_formats ORDER BY format").fetchall()
        assert stored == [{"format": name, "tree": "published"} for name in ("presentation", "video")]
        assert leftovers(share) == [], f"step {step}"

    assert each_step(prepare, check) > 30


@pytest.mark.slow
def test_replacement(settings: Settings, share: Path, rows: Connection, each_step: Callable[..., int]) -> None:
    def prepare() -> None:
        archives.write(share / "spool" / "old.tar", OLD)
        import_all(settings)
        archives.write(share / "spool" / "new.tar", NEW)

    def check(step: int) -> None:
        archive = archives.write(share.parent / "copy.tar", NEW).read_bytes()
        nothing_is_lost(share, rows, archive, step)
        webcams = [path.read_bytes()[:3] for path in share.rglob("webcams.webm") if ".incoming" not in path.parts]
        assert webcams, f"step {step}: neither the old nor the new files are anywhere"
        import_all(settings)
        assert files(share / "published") == NEW, f"step {step}"
        states = rows.execute("SELECT archive, state FROM imports ORDER BY id").fetchall()
        assert [(row["archive"], row["state"]) for row in states] == [("old.tar", "done"), ("new.tar", "done")]
        assert leftovers(share) == [], f"step {step}"

    assert each_step(prepare, check) > 30


@pytest.mark.slow
@pytest.mark.parametrize("state", ["unpublished", "deleted"])
def test_moves(settings: Settings, share: Path, rows: Connection, each_step: Callable[..., int], state: str) -> None:
    def prepare() -> None:
        archives.write(share / "spool" / "new.tar", NEW)
        import_all(settings)
        rows.execute("UPDATE recordings SET state = %s, move_due = true", [state])

    def check(step: int) -> None:
        found = {name: content for tree in ("published", state) for name, content in files(share / tree).items()}
        assert found == NEW, f"step {step}: files are lost"
        # The lease of a move outlives its mover by two minutes: here they are over.
        rows.execute("UPDATE recordings SET move_not_before = NULL")
        import_all(settings)
        assert (files(share / state), files(share / "published")) == (NEW, {}), f"step {step}"
        assert rows.execute("SELECT DISTINCT tree FROM recording_formats").fetchall() == [{"tree": state}]
        assert rows.execute("SELECT move_due FROM recordings").fetchall() == [{"move_due": False}]

    assert each_step(prepare, check) > 5


@pytest.mark.slow
def test_refusal(settings: Settings, share: Path, rows: Connection, each_step: Callable[..., int]) -> None:
    bad = NEW | {f"presentation/{RECORD_ID}/../../x": b""}

    def prepare() -> None:
        archives.write(share / "spool" / "bad.tar", bad)

    def check(step: int) -> None:
        import_all(settings)
        failed = sorted(path.name for path in (share / "spool" / "failed").iterdir())
        assert failed == ["bad.tar", "bad.tar.reason"], f"step {step}"
        assert "leads out of the archive" in (share / "spool" / "failed" / "bad.tar.reason").read_text()
        assert rows.execute("SELECT state FROM imports").fetchall() == [{"state": "refused"}]
        assert files(share / "published") == {}
        assert leftovers(share) == [], f"step {step}"

    assert each_step(prepare, check) > 5


def test_an_archive_that_ends_its_importer_again_and_again_is_set_aside(
    settings: Settings, share: Path, rows: Connection
) -> None:
    archives.write(share / "spool" / "evil.tar", NEW)
    for _ in range(settings.import_attempts + 1):
        # Somewhere in the middle of unpacking.
        killed.run(settings, 25)
    import_all(settings)
    assert rows.execute("SELECT state, faults FROM imports").fetchall() == [{"state": "refused", "faults": 3}]
    assert "failed 3 times" in (share / "spool" / "failed" / "evil.tar.reason").read_text()
    assert files(share / "published") == {}
