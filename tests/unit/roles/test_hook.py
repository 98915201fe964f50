"""The post-publish hook, run as BigBlueButton runs it: it notes the recording and always exits with 0."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.roles.scripts import NODE_FILES

RECORD = "e0666d1a2b3c4d5e6f708192a3b4c5d6e7f80912-1757000000123"
pytestmark = pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed: apt-get install ruby")


def run(inbox: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ruby", "-W:no-deprecated", str(NODE_FILES / "post_publish_bbb_fleet.rb"), *arguments]
    environment = os.environ | {"BBB_FLEET_INBOX": str(inbox)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_it_notes_the_format(tmp_path: Path) -> None:
    run(tmp_path, "-m", RECORD, "-f", "presentation")
    assert [path.name for path in tmp_path.iterdir()] == [f"{RECORD}-presentation"]


def test_it_notes_a_format_with_a_hyphen(tmp_path: Path) -> None:
    run(tmp_path, "-m", RECORD, "-f", "screen-share")
    assert [path.name for path in tmp_path.iterdir()] == [f"{RECORD}-screen-share"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--meeting-id", RECORD, "--format", "video"),
        (f"--meeting-id={RECORD}", "--format=video"),
        ("--new-option", "7", "-m", RECORD, "-f", "video", "--verbose"),
    ],
    ids=["long", "with equals signs", "with options of a later BigBlueButton"],
)
def test_it_understands_every_form_of_its_options(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    run(tmp_path, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == [f"{RECORD}-video"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("-m", RECORD), ("-m", "../../etc", "-f", "video"), ("-m", RECORD, "-f", "../video"), ("-m",)],
)
def test_it_refuses_other_names_and_still_exits_with_0(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []
    assert "not queued" in done.stderr


def test_a_queue_that_cannot_be_written_does_not_stop_bigbluebutton(tmp_path: Path) -> None:
    done = run(tmp_path / "missing", "-m", RECORD, "-f", "video")
    assert "not queued" in done.stderr
