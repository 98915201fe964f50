"""The undo log: changes are on disk before they are made, and the run after a crash finds all of them."""

from pathlib import Path

import pytest

from acceptance.support.undo_log import UndoLog, UndoLogError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.journal.json"


def test_a_crashed_run_leaves_its_changes_to_the_next_one(path: Path) -> None:
    """A reopened log has the pending changes, newest first, but not those already undone."""
    crashed = UndoLog(path)
    crashed.will_change("node-state", "bbb1", "enabled")
    crashed.will_change("node-state", "bbb2", "draining")
    crashed.will_change("meeting", "acceptance-1")
    crashed.undone("meeting", "acceptance-1")
    following = UndoLog(path)
    assert [(change.name, change.before) for change in following.pending("node-state")] == [
        ("bbb2", "draining"),
        ("bbb1", "enabled"),
    ]
    assert following.pending("meeting") == []


def test_the_first_change_of_a_thing_has_its_original_value(path: Path) -> None:
    """A node that is disabled and then drained is restored to its first state."""
    log = UndoLog(path)
    log.will_change("node-state", "bbb1", "enabled")
    log.will_change("node-state", "bbb1", "disabled")
    assert UndoLog(path).pending("node-state")[0].before == "enabled"


def test_the_file_is_deleted_when_everything_is_undone(path: Path) -> None:
    log = UndoLog(path)
    log.will_change("meeting", "acceptance-1")
    assert path.exists()
    log.undone("meeting", "acceptance-1")
    assert not path.exists()


def test_a_thing_can_change_again_after_it_was_undone(path: Path) -> None:
    log = UndoLog(path)
    log.will_change("meeting", "kept")
    for _ in range(2):
        log.will_change("node-state", "bbb1", "enabled")
        log.undone("node-state", "bbb1")
    log.will_change("node-state", "bbb1", "draining")
    assert [change.before for change in UndoLog(path).pending("node-state")] == ["draining"]


def test_a_line_that_a_crash_cut_off_is_dropped(path: Path) -> None:
    """Its change was never made. The next change starts a new line."""
    UndoLog(path).will_change("meeting", "acceptance-1")
    with path.open("a") as file:
        file.write('{"do": {"kind": "mee')
    log = UndoLog(path)
    log.will_change("meeting", "acceptance-2")
    assert [change.name for change in UndoLog(path).pending("meeting")] == ["acceptance-2", "acceptance-1"]


def test_a_damaged_log_is_refused(path: Path) -> None:
    """It may contain changes that must be undone, so it is kept; the message names the line."""
    path.write_text('{"do": {"kind": "meeting", "name": "a", "before": ""}}\nnot json\n')
    with pytest.raises(UndoLogError, match="line 2"):
        UndoLog(path)


def test_a_second_run_is_locked_out(path: Path) -> None:
    """Of two runs on one environment each would undo what the other needs."""
    with UndoLog(path).locked(), pytest.raises(UndoLogError, match="another run"), UndoLog(path).locked():
        pytest.fail("both runs have the lock")
    with UndoLog(path).locked():
        pass
