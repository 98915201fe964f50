"""The gate on the storage host: rsync, rrsync and the agent's ssh transport are real; only ssh itself is a stand-in."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.roles.scripts import NODE_FILES, load

handover = load(NODE_FILES / "handover.py")
gate = load(NODE_FILES / "spool_gate.py")
NAME = "e0666d1a2b3c4d5e6f708192a3b4c5d6e7f80912-1757000000123-video.tar"
WAITS = "another archive of that name still waits for the importer; the delivery is tried again"
# What sshd does with a key's forced command: the client's words go into the environment, ours is run.
SSH = """#!/bin/sh
while [ "$1" != bbb-fleet-spool ]; do shift; done
shift
SSH_ORIGINAL_COMMAND="$*" exec {python} {gate} --spool {spool} {node}
"""


class Storage:
    """A storage host's spool, and a node's way to it."""

    def __init__(self, root: Path, node: str = "bbb1") -> None:
        self.root, self.spool, self.node = root, root / "spool", node
        self.spool.mkdir(exist_ok=True)
        self.programs = root / "bin"
        self.programs.mkdir(exist_ok=True)
        ssh = self.programs / "ssh"
        gate = NODE_FILES / "spool_gate.py"
        ssh.write_text(SSH.format(python=sys.executable, gate=gate, spool=self.spool, node=node))
        ssh.chmod(0o755)
        self.transport = handover.SshTransport({"ssh_config": "/dev/null"})

    def ask(self, words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(NODE_FILES / "spool_gate.py"), "--spool", str(self.spool), self.node]
        variables = os.environ | {"SSH_ORIGINAL_COMMAND": words} | environment
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    def deliver(self, archive: Path) -> None:
        self.transport.deliver(archive, archive.stat().st_size, digest(archive))

    def take(self) -> None:
        """As the importer does it."""
        work = self.spool / ".work"
        work.mkdir(exist_ok=True)
        (self.spool / NAME).rename(work / f"{len(list(work.iterdir()))}.tar")

    def refusal(self, words: str) -> str:
        done = self.ask(words)
        assert done.returncode == 3, done.stdout
        answer = json.loads(done.stdout)
        assert answer["state"] == "refused"
        reason: str = answer["reason"]
        return reason

    def arriving(self, content: bytes) -> Path:
        folder = self.spool / ".arriving" / self.node
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NAME).write_bytes(content)
        return folder / NAME


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    made = Storage(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(os.urandom(300_000))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_arrives_whole(storage: Storage, archive: Path) -> None:
    storage.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_a_delivery_whose_answer_was_lost_counts_when_it_comes_again(storage: Storage, archive: Path) -> None:
    storage.deliver(archive)
    first = (storage.spool / NAME).stat().st_ino
    storage.deliver(archive)
    assert (storage.spool / NAME).stat().st_ino == first
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_an_archive_that_waits_is_not_lost_to_another_of_its_name(storage: Storage, archive: Path) -> None:
    first = archive.read_bytes()
    storage.deliver(archive)
    second = Storage(storage.root, "bbb2")
    archive.write_bytes(bytes(reversed(first)))
    for _ in range(2):
        with pytest.raises(handover.DeliveryError, match=WAITS):
            second.deliver(archive)
        assert (storage.spool / NAME).read_bytes() == first
    storage.take()
    second.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()


def test_of_two_nodes_that_deliver_one_name_at_once_one_waits(storage: Storage) -> None:
    nodes = [storage, *(Storage(storage.root, f"bbb{number}") for number in (2, 3, 4))]
    contents = [os.urandom(300_000) for _ in nodes]
    words = [f"commit {NAME} 300000 {digest(node.arriving(each))}" for node, each in zip(nodes, contents, strict=True)]
    with ThreadPoolExecutor(len(nodes)) as threads:
        answers = list(threads.map(Storage.ask, nodes, words))
    entered = [each for each, answer in zip(contents, answers, strict=True) if answer.returncode == 0]
    assert entered == [(storage.spool / NAME).read_bytes()]
    assert sum(WAITS in answer.stdout for answer in answers) == 3


def test_a_gate_that_was_cut_off_between_two_names_is_no_trouble(storage: Storage, archive: Path) -> None:
    os.link(storage.arriving(archive.read_bytes()), storage.spool / NAME)
    storage.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_a_commit_that_was_cut_off_between_two_names_can_be_asked_for_again(storage: Storage, archive: Path) -> None:
    arriving = storage.arriving(archive.read_bytes())
    os.link(arriving, storage.spool / NAME)
    assert storage.ask(f"commit {NAME} 300000 {digest(archive)}").returncode == 0
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert not arriving.exists()


@pytest.mark.parametrize("place", [NAME, ".work/1.tar"], ids=["waiting", "claimed"])
def test_rsync_does_not_write_into_what_has_left_the_nodes_place(storage: Storage, archive: Path, place: str) -> None:
    """It writes in place, and the same file may still have a second name there."""
    first = archive.read_bytes()
    (storage.spool / ".work").mkdir()
    os.link(storage.arriving(first), storage.spool / place)
    archive.write_bytes(bytes(reversed(first)))
    if place == NAME:
        with pytest.raises(handover.DeliveryError, match=WAITS):
            storage.deliver(archive)
    else:
        storage.deliver(archive)
        assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert (storage.spool / place).read_bytes() == first


def test_what_the_importer_takes_at_that_moment_keeps_nobody_waiting(
    storage: Storage, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.arriving(archive.read_bytes())
    (storage.spool / NAME).write_bytes(b"another's")
    link = os.link

    def link_late(source: Path, target: Path) -> None:
        try:
            link(source, target)
        except FileExistsError:
            storage.take()
            raise

    monkeypatch.setattr(gate.os, "link", link_late)
    gate.commit(storage.spool, "bbb1", NAME, 300_000, digest(archive))
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()


def test_a_name_that_is_there_and_not_there_is_given_up(storage: Storage, archive: Path) -> None:
    (storage.spool / NAME).symlink_to("nowhere")
    arriving = storage.arriving(archive.read_bytes())
    assert "come and go too fast" in storage.refusal(f"commit {NAME} 300000 {digest(archive)}")
    assert arriving.read_bytes() == archive.read_bytes()


def test_a_link_is_no_archive(storage: Storage, archive: Path) -> None:
    storage.arriving(b"").unlink()
    (storage.spool / ".arriving/bbb1" / NAME).symlink_to(archive)
    assert "symbolic link" in storage.refusal(f"commit {NAME} 300000 {digest(archive)}")
    assert not (storage.spool / NAME).is_symlink()


def test_nothing_is_taken_from_a_place_that_rrsync_still_writes_to(storage: Storage, archive: Path) -> None:
    storage.arriving(archive.read_bytes())
    words = f"commit {NAME} 300000 {digest(archive)}"
    with gate.locked(storage.spool / ".arriving/bbb1"):
        assert "another transfer" in storage.refusal(words)
        with pytest.raises(handover.DeliveryError):
            storage.transport._run(["rsync", "--rsh=ssh", str(archive), "bbb-fleet-spool:"])
    assert storage.ask(words).returncode == 0


def test_a_broken_transfer_is_continued(storage: Storage, archive: Path) -> None:
    storage.arriving(archive.read_bytes()[:100_000])
    storage.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()


def test_a_truncated_archive_never_enters_the_inbox(storage: Storage, archive: Path) -> None:
    storage.arriving(archive.read_bytes()[:100_000])
    reason = storage.refusal(f"commit {NAME} {archive.stat().st_size} {digest(archive)}")
    assert reason == "incomplete: 100000 of 300000 bytes arrived"
    assert not (storage.spool / NAME).exists()


def test_a_damaged_archive_never_enters_the_inbox(storage: Storage, archive: Path) -> None:
    storage.arriving(bytes(archive.stat().st_size))
    reason = storage.refusal(f"commit {NAME} {archive.stat().st_size} {digest(archive)}")
    assert reason.startswith("damaged")
    assert not (storage.spool / NAME).exists()


def test_an_archive_without_room_is_not_even_begun(storage: Storage) -> None:
    assert "no room" in storage.refusal(f"offer {NAME} 999999999999999")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "sh -c id",
        "rsync",
        "offer ../../etc/passwd 1",
        f"offer {NAME} -1",
        f"commit {NAME} 1 abc",
        f"commit .work/{NAME} 1 {'0' * 64}",
        "commit 'unclosed",
    ],
)
def test_anything_else_is_refused(storage: Storage, words: str) -> None:
    assert storage.refusal(words)


def test_a_node_cannot_write_outside_its_own_place(storage: Storage, archive: Path, tmp_path: Path) -> None:
    other = storage.spool / ".arriving/bbb2"
    other.mkdir(parents=True)
    for target in (f"../bbb2/{NAME}", f"../../{NAME}", f"{other}/{NAME}"):
        with pytest.raises(handover.DeliveryError):
            storage.transport._run(["rsync", "--rsh=ssh", str(archive), f"bbb-fleet-spool:{target}"])
    assert list(other.iterdir()) == []
    assert not (storage.spool / NAME).exists()


def test_a_node_cannot_read_the_spool(storage: Storage, tmp_path: Path) -> None:
    storage.arriving(b"another's")
    with pytest.raises(handover.DeliveryError):
        storage.transport._run(["rsync", "--rsh=ssh", f"bbb-fleet-spool:{NAME}", str(tmp_path / "stolen")])
    assert not (tmp_path / "stolen").exists()


def test_a_refusal_keeps_the_gates_words(storage: Storage, archive: Path) -> None:
    with pytest.raises(handover.DeliveryError, match="no room"):
        storage.transport.deliver(archive, 999_999_999_999_999, digest(archive))


def test_a_storage_host_that_is_away_stops_the_pass(storage: Storage, archive: Path) -> None:
    (storage.programs / "ssh").write_text("#!/bin/sh\necho 'ssh: connect: no route to host' >&2\nexit 255\n")
    with pytest.raises(handover.UnreachableError, match="no route to host"):
        storage.transport.check()
