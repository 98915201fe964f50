"""The journal: what was changed is on disk before the change, and a crashed run's notes are all there for the next."""

from pathlib import Path

import pytest

from acceptance.support.journal import Journal, JournalError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.journal.json"


def test_a_crashed_run_leaves_what_the_next_one_puts_back(path: Path) -> None:
    """A journal opened anew knows the open changes, newest first, and not those that were put back."""
    crashed = Journal(path)
    crashed.will_change("node-state", "bbb1", "enabled")
    crashed.will_change("node-state", "bbb2", "draining")
    crashed.will_change("meeting", "acceptance-1")
    crashed.put_back("meeting", "acceptance-1")
    following = Journal(path)
    assert [(change.name, change.before) for change in following.pending("node-state")] == [
        ("bbb2", "draining"),
        ("bbb1", "enabled"),
    ]
    assert following.pending("meeting") == []


def test_the_first_note_of_a_thing_holds_its_original_value(path: Path) -> None:
    """Draining a disabled node does not make `disabled` what it is put back to."""
    journal = Journal(path)
    journal.will_change("node-state", "bbb1", "enabled")
    journal.will_change("node-state", "bbb1", "disabled")
    assert Journal(path).pending("node-state")[0].before == "enabled"


def test_nothing_stays_when_everything_is_put_back(path: Path) -> None:
    """An empty journal is no file."""
    journal = Journal(path)
    journal.will_change("meeting", "acceptance-1")
    assert path.exists()
    journal.put_back("meeting", "acceptance-1")
    assert not path.exists()


def test_a_thing_can_change_again_after_it_was_put_back(path: Path) -> None:
    """The same name may be noted, crossed out and noted again."""
    journal = Journal(path)
    journal.will_change("meeting", "kept")
    for _ in range(2):
        journal.will_change("node-state", "bbb1", "enabled")
        journal.put_back("node-state", "bbb1")
    journal.will_change("node-state", "bbb1", "draining")
    assert [change.before for change in Journal(path).pending("node-state")] == ["draining"]


def test_a_line_cut_off_by_a_crash_is_dropped(path: Path) -> None:
    """The change it would have announced was never made; what follows is written on a line of its own."""
    Journal(path).will_change("meeting", "acceptance-1")
    with path.open("a") as file:
        file.write('{"do": {"kind": "mee')
    journal = Journal(path)
    journal.will_change("meeting", "acceptance-2")
    assert [change.name for change in Journal(path).pending("meeting")] == ["acceptance-2", "acceptance-1"]


def test_a_spoilt_journal_is_refused_by_line(path: Path) -> None:
    """A journal that cannot be read is not thrown away: something may have to be put back."""
    path.write_text('{"do": {"kind": "meeting", "name": "a", "before": ""}}\nnot json\n')
    with pytest.raises(JournalError, match="line 2"):
        Journal(path)


def test_a_second_run_is_kept_out(path: Path) -> None:
    """Two runs on one environment would put back what the other needs."""
    with Journal(path).held(), pytest.raises(JournalError, match="another run"), Journal(path).held():
        pytest.fail("both runs hold the journal")
    with Journal(path).held():
        pass
