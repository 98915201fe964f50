"""The agent on a node: what the hook notes arrives complete in the spool and is retried until then."""

import ast
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.scripts import NODE_FILES, load

handover = load(NODE_FILES / "handover.py")
RECORD = "e0666d1a2b3c4d5e6f708192a3b4c5d6e7f80912-1757000000123"
NAME = f"{RECORD}-presentation"
WAITS = "another archive of that name still waits for the importer; the delivery is tried again"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Node:
    """A node's disk, its mounted spool, and the agent over both."""

    def __init__(self, root: Path) -> None:
        self.state, self.recordings, self.spool = root / "state", root / "recordings", root / "spool"
        for name in ("inbox", "pending", "outbox", "delivered"):
            (self.state / name).mkdir(parents=True)
        (self.state / "installed").touch()
        self.spool.mkdir()
        (self.spool / ".bbb-fleet-spool").touch()
        self.clock = Clock()
        settings = {
            "state_directory": str(self.state),
            "recordings": str(self.recordings),
            "spool": str(self.spool),
            "retry_seconds": 10,
            "retry_limit_seconds": 60,
        }
        self.transport = handover.NfsTransport(settings)
        self.agent = handover.Handover(settings, self.transport, self.clock)

    def publish(self, record: str = RECORD, kind: str = "presentation", tree: str = "published") -> Path:
        folder = self.recordings / tree / kind / record
        (folder / "video").mkdir(parents=True)
        (folder / "metadata.xml").write_text(f"<recording><id>{record}</id></recording>")
        (folder / "video/webcams.webm").write_bytes(bytes(range(256)) * 100)
        return folder

    def note(self, name: str = NAME) -> None:
        (self.state / "inbox" / name).touch()

    def unmount(self) -> None:
        (self.spool / ".bbb-fleet-spool").unlink()

    def mount(self) -> None:
        (self.spool / ".bbb-fleet-spool").touch()

    def take(self) -> bytes:
        """Take the archive out of the inbox, as the importer does."""
        work = self.spool / ".work"
        work.mkdir(exist_ok=True)
        return (self.spool / f"{NAME}.tar").rename(work / "1.tar").read_bytes()

    def archive(self, content: bytes) -> Path:
        """A built archive with any content."""
        path = self.state / "outbox" / f"{NAME}.tar"
        path.write_bytes(content)
        return path

    def deliver(self, archive: Path) -> None:
        self.transport.deliver(archive, archive.stat().st_size, handover.file_digest(archive))

    @property
    def hidden(self) -> list[str]:
        """Names of unfinished or abandoned copies."""
        return [path.name for path in self.spool.glob(".*.tar*")]

    def items(self, place: str) -> list[dict[str, Any]]:
        return list(self.agent.items(place))

    @property
    def archives(self) -> list[str]:
        return sorted(path.name for path in self.spool.glob("*.tar"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_noted_format_arrives_in_scalelites_layout(node: Node) -> None:
    node.publish()
    node.note()

    assert node.agent.run_once()

    assert node.archives == [f"{NAME}.tar"]
    with tarfile.open(node.spool / f"{NAME}.tar") as archive:
        assert f"presentation/{RECORD}/metadata.xml" in archive.getnames()
        assert f"presentation/{RECORD}/video/webcams.webm" in archive.getnames()
        assert {member.uname for member in archive} == {"root"}
    (item,) = node.items("delivered")
    assert item["outcome"] == "delivered"
    assert item["size"] == (node.spool / f"{NAME}.tar").stat().st_size


def test_the_queue_is_empty_after_a_delivery(node: Node) -> None:
    node.publish()
    node.note()
    node.agent.run_once()
    for place in ("inbox", "pending", "outbox"):
        assert list((node.state / place).iterdir()) == []
    assert (node.recordings / "published/presentation" / RECORD / "metadata.xml").exists()


def test_each_format_has_its_own_archive(node: Node) -> None:
    for kind in ("presentation", "video"):
        node.publish(kind=kind)
        node.note(f"{RECORD}-{kind}")
    node.agent.run_once()
    assert node.archives == [f"{RECORD}-presentation.tar", f"{RECORD}-video.tar"]


def test_a_recording_that_was_unpublished_is_delivered_too(node: Node) -> None:
    node.publish(tree="unpublished")
    node.note()
    assert node.agent.run_once()
    assert node.archives == [f"{NAME}.tar"]


def test_without_its_mount_nothing_is_written_to_the_mount_point(node: Node) -> None:
    node.publish()
    node.note()
    node.unmount()
    assert not node.agent.run_once()
    assert list(node.spool.iterdir()) == []
    (item,) = node.items("pending")
    assert "is not mounted" in item["error"]


def test_pauses_double_up_to_their_limit_until_the_delivery(node: Node) -> None:
    node.publish()
    node.note()
    node.unmount()
    pauses = []
    for _ in range(5):
        node.agent.run_once()
        (item,) = node.items("pending")
        pauses.append(item["next_try"] - node.clock.seconds)
        node.clock.seconds = item["next_try"]
    assert pauses == [10, 20, 40, 60, 60]
    node.mount()
    assert node.agent.run_once()
    assert node.archives == [f"{NAME}.tar"]


def test_an_item_is_not_tried_before_its_pause_is_over(node: Node) -> None:
    node.publish()
    node.note()
    node.unmount()
    node.agent.run_once()
    node.mount()
    node.clock.seconds += 9
    assert not node.agent.run_once()
    assert node.archives == []


def test_one_bad_recording_does_not_delay_the_others(node: Node) -> None:
    bad, good = f"{RECORD[:-1]}4-presentation", NAME
    # metadata.xml is a directory, so the noted format does not exist.
    (node.recordings / "published/presentation" / f"{RECORD[:-1]}4" / "metadata.xml").mkdir(parents=True)
    node.publish()
    node.note(bad)
    node.note(good)
    assert node.agent.run_once()
    assert node.archives == [f"{good}.tar"]
    assert {item["name"]: item["outcome"] for item in node.items("delivered")} == {bad: "gone", good: "delivered"}


def test_a_second_note_delivers_the_current_files(node: Node) -> None:
    folder = node.publish()
    node.note()
    node.agent.run_once()
    node.take()
    (folder / "captions.json").write_text("[]")
    node.note()
    node.agent.run_once()
    with tarfile.open(node.spool / f"{NAME}.tar") as archive:
        assert f"presentation/{RECORD}/captions.json" in archive.getnames()


def test_a_second_publication_waits_until_the_importer_takes_the_first(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = node.publish()
    node.note()
    node.agent.run_once()
    first = (node.spool / f"{NAME}.tar").read_bytes()
    (folder / "captions.json").write_text("[]")
    node.note()

    assert not node.agent.run_once()

    (item,) = node.items("pending")
    assert item["error"] == WAITS
    handover.status(node.agent, as_json=False)
    assert f"{NAME}  attempts 1  {WAITS}" in capsys.readouterr().out
    assert (node.state / "outbox" / f"{NAME}.tar").exists()
    assert node.take() == first
    node.clock.seconds = item["next_try"]
    assert node.agent.run_once()
    with tarfile.open(node.spool / f"{NAME}.tar") as archive:
        assert f"presentation/{RECORD}/captions.json" in archive.getnames()


def test_a_waiting_archive_does_not_delay_others(node: Node) -> None:
    (node.spool / f"{NAME}.tar").write_bytes(b"another node's")
    for kind in ("presentation", "video"):
        node.publish(kind=kind)
        node.note(f"{RECORD}-{kind}")
    node.agent.run_once()
    assert [item["name"] for item in node.items("pending")] == [NAME]
    assert node.archives == [f"{NAME}.tar", f"{RECORD}-video.tar"]


def test_an_archive_that_enters_during_the_copy_is_not_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    copy: Callable[..., str] = handover.copy_durably

    def copy_slowly(archive: Path, target: Path) -> str:
        (node.spool / f"{NAME}.tar").write_bytes(b"other bytes")
        return copy(archive, target)

    monkeypatch.setattr(handover, "copy_durably", copy_slowly)
    with pytest.raises(handover.DeliveryError, match=WAITS):
        node.deliver(node.archive(b"whole"))
    assert node.take() == b"other bytes"
    assert node.hidden == []


def test_a_repeated_delivery_counts_if_its_answer_was_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = node.archive(b"whole")
    node.deliver(archive)
    first = (node.spool / f"{NAME}.tar").stat().st_ino
    # It is not copied again, so it needs no space.
    usage = handover.shutil.disk_usage(node.spool)
    monkeypatch.setattr(handover.shutil, "disk_usage", lambda _: usage._replace(free=0))
    node.deliver(archive)
    assert (node.spool / f"{NAME}.tar").stat().st_ino == first
    assert node.hidden == []


@pytest.mark.parametrize("taken", [False, True])
def test_an_attempt_killed_between_link_and_unlink_is_repeated(node: Node, taken: bool) -> None:
    archive = node.archive(b"whole")
    cut_off = node.spool / f".{NAME}.tar.{os.uname().nodename}~1"
    cut_off.write_bytes(b"whole")
    os.link(cut_off, node.spool / f"{NAME}.tar")
    if taken:
        node.take()
    node.deliver(archive)
    assert (node.spool / f"{NAME}.tar").read_bytes() == b"whole"
    assert not taken or (node.spool / ".work/1.tar").read_bytes() == b"whole"
    assert node.hidden == []


@pytest.mark.parametrize("content", [b"other bytes", b"whole"])
def test_an_archive_taken_by_the_importer_at_that_moment_is_no_obstacle(
    node: Node, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    archive = node.archive(b"whole")
    link = os.link

    def link_late(source: str, target: str) -> None:
        if not (node.spool / ".work").exists():
            Path(target).write_bytes(content)
        try:
            link(source, target)
        except FileExistsError:
            node.take()
            raise

    monkeypatch.setattr(handover.os, "link", link_late)
    node.deliver(archive)
    assert (node.spool / f"{NAME}.tar").read_bytes() == b"whole"
    assert (node.spool / ".work/1.tar").read_bytes() == content


def test_a_dangling_link_in_the_inbox_ends_the_attempt(node: Node) -> None:
    (node.spool / f"{NAME}.tar").symlink_to("nowhere")
    with pytest.raises(handover.DeliveryError, match="come and go too fast"):
        node.deliver(node.archive(b"whole"))
    assert node.hidden == []


def test_a_note_after_a_failed_attempt_builds_the_archive_again(node: Node) -> None:
    folder = node.publish()
    node.note()
    node.unmount()
    node.agent.run_once()
    (folder / "polls.json").write_text("[]")
    node.note()
    node.mount()
    node.agent.run_once()
    with tarfile.open(node.spool / f"{NAME}.tar") as archive:
        assert f"presentation/{RECORD}/polls.json" in archive.getnames()


def test_symbolic_links_are_left_out(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    folder = node.publish()
    (folder / "passwd").symlink_to("/etc/passwd")
    node.note()
    node.agent.run_once()
    with tarfile.open(node.spool / f"{NAME}.tar") as archive:
        assert all(member.isfile() or member.isdir() for member in archive)
    assert "left out" in capsys.readouterr().out


def test_a_note_with_another_name_is_dropped_and_reported(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.note("not-a-recording")
    assert node.agent.run_once()
    assert list((node.state / "inbox").iterdir()) == []
    assert "dropped note" in capsys.readouterr().out


def test_a_format_that_the_hook_failed_to_note_is_found(node: Node) -> None:
    node.publish()
    _done(node, time.time() + 5)
    assert node.agent.run_once()
    assert node.archives == [f"{NAME}.tar"]
    (node.spool / f"{NAME}.tar").unlink()
    node.agent.run_once()
    assert node.archives == [], "a delivered format is not sent again"


def test_older_recordings_are_not_delivered(node: Node) -> None:
    node.publish()
    _done(node, time.time() - 3600)
    assert node.agent.run_once()
    assert node.archives == []


def _done(node: Node, when: float) -> None:
    marks = node.recordings / "recording/status/published"
    marks.mkdir(parents=True)
    (marks / f"{NAME}.done").touch()
    os.utime(marks / f"{NAME}.done", (when, when))


def test_a_full_disk_on_the_node_is_reported_and_retried(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.publish()
    node.note()
    usage = handover.shutil.disk_usage

    def full(path: str) -> Any:
        return usage(path)._replace(free=4096)

    monkeypatch.setattr(handover.shutil, "disk_usage", full)
    node.agent.run_once()
    (item,) = node.items("pending")
    assert "no room on this node" in item["error"]
    monkeypatch.undo()
    node.clock.seconds += 10
    assert node.agent.run_once()


def test_a_damaged_copy_never_gets_the_archives_name(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.publish()
    node.note()
    copy: Callable[..., None] = handover.shutil.copyfileobj

    def cut_short(source: Any, target: Any, length: int) -> None:
        copy(source, target, length)
        target.truncate(1000)

    monkeypatch.setattr(handover.shutil, "copyfileobj", cut_short)
    assert not node.agent.run_once()
    assert node.archives == []
    (item,) = node.items("pending")
    assert "differs from the archive" in item["error"]


def test_the_queue_can_be_shown_as_json(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.publish()
    node.note()
    node.unmount()
    node.agent.run_once()
    node.note(f"{RECORD}-video")
    capsys.readouterr()
    handover.status(node.agent, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert next(iter(answer)) == "version"
    assert answer["noted"] == [f"{RECORD}-video"]
    assert [item["name"] for item in answer["pending"]] == [NAME]


@pytest.mark.parametrize("name", ["handover.py", "spool_entry.py", "spool_gate.py"])
def test_it_is_valid_python_3_8(name: str) -> None:
    ast.parse((NODE_FILES / name).read_text(), feature_version=(3, 8))
