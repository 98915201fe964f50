"""The gate on the storage host. rsync, rrsync and the agent's ssh transport are real; ssh is replaced by a script."""

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
# As sshd runs a key's forced command: the client's command is passed in the environment.
SSH = """#!/bin/sh
while [ "$1" != bbb-fleet-spool ]; do shift; done
shift
SSH_ORIGINAL_COMMAND="$*" exec {python} {gate} --spool {spool} {node}
"""


class Storage:
    """A storage host's spool, and a node's transport to it."""

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
        """Take the archive, as the importer does."""
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


def test_an_archive_arrives_complete(storage: Storage, archive: Path) -> None:
    storage.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_a_repeated_delivery_counts_if_its_answer_was_lost(storage: Storage, archive: Path) -> None:
    storage.deliver(archive)
    first = (storage.spool / NAME).stat().st_ino
    storage.deliver(archive)
    assert (storage.spool / NAME).stat().st_ino == first
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_a_waiting_archive_is_not_replaced_by_another_of_its_name(storage: Storage, archive: Path) -> None:
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


def test_one_of_several_concurrent_deliveries_of_one_name_enters(storage: Storage) -> None:
    nodes = [storage, *(Storage(storage.root, f"bbb{number}") for number in (2, 3, 4))]
    contents = [os.urandom(300_000) for _ in nodes]
    words = [f"commit {NAME} 300000 {digest(node.arriving(each))}" for node, each in zip(nodes, contents, strict=True)]
    with ThreadPoolExecutor(len(nodes)) as threads:
        answers = list(threads.map(Storage.ask, nodes, words))
    entered = [each for each, answer in zip(contents, answers, strict=True) if answer.returncode == 0]
    assert entered == [(storage.spool / NAME).read_bytes()]
    assert sum(WAITS in answer.stdout for answer in answers) == 3


def test_a_delivery_after_a_gate_was_killed_between_link_and_unlink(storage: Storage, archive: Path) -> None:
    os.link(storage.arriving(archive.read_bytes()), storage.spool / NAME)
    storage.deliver(archive)
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert list((storage.spool / ".arriving/bbb1").iterdir()) == []


def test_a_commit_killed_between_link_and_unlink_can_be_repeated(storage: Storage, archive: Path) -> None:
    arriving = storage.arriving(archive.read_bytes())
    os.link(arriving, storage.spool / NAME)
    assert storage.ask(f"commit {NAME} 300000 {digest(archive)}").returncode == 0
    assert (storage.spool / NAME).read_bytes() == archive.read_bytes()
    assert not arriving.exists()


@pytest.mark.parametrize("place", [NAME, ".work/1.tar"], ids=["waiting", "claimed"])
def test_rsync_does_not_write_into_an_archive_that_left_the_nodes_directory(
    storage: Storage, archive: Path, place: str
) -> None:
    """It writes in place, and the file may still have its second name in the node's directory."""
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


def test_an_archive_taken_by_the_importer_at_that_moment_is_no_obstacle(
    storage: Storage, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.arriving(archive.read_bytes())
    (storage.spool / NAME).write_bytes(b"other bytes")
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


def test_a_dangling_link_in_the_inbox_ends_the_attempt(storage: Storage, archive: Path) -> None:
    (storage.spool / NAME).symlink_to("nowhere")
    arriving = storage.arriving(archive.read_bytes())
    assert "come and go too fast" in storage.refusal(f"commit {NAME} 300000 {digest(archive)}")
    assert arriving.read_bytes() == archive.read_bytes()


def test_a_symbolic_link_is_refused(storage: Storage, archive: Path) -> None:
    storage.arriving(b"").unlink()
    (storage.spool / ".arriving/bbb1" / NAME).symlink_to(archive)
    assert "symbolic link" in storage.refusal(f"commit {NAME} 300000 {digest(archive)}")
    assert not (storage.spool / NAME).is_symlink()


def test_nothing_is_committed_while_rrsync_still_writes(storage: Storage, archive: Path) -> None:
    storage.arriving(archive.read_bytes())
    words = f"commit {NAME} 300000 {digest(archive)}"
    with gate.locked(storage.spool / ".arriving/bbb1"):
        assert "another transfer" in storage.refusal(words)
        with pytest.raises(handover.DeliveryError):
            storage.transport._run(["rsync", "--rsh=ssh", str(archive), "bbb-fleet-spool:"])
    assert storage.ask(words).returncode == 0


def test_an_interrupted_transfer_is_continued(storage: Storage, archive: Path) -> None:
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


def test_an_archive_without_room_is_refused_before_the_transfer(storage: Storage) -> None:
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
def test_other_requests_are_refused(storage: Storage, words: str) -> None:
    assert storage.refusal(words)


def test_a_node_cannot_write_outside_its_own_directory(storage: Storage, archive: Path, tmp_path: Path) -> None:
    other = storage.spool / ".arriving/bbb2"
    other.mkdir(parents=True)
    for target in (f"../bbb2/{NAME}", f"../../{NAME}", f"{other}/{NAME}"):
        with pytest.raises(handover.DeliveryError):
            storage.transport._run(["rsync", "--rsh=ssh", str(archive), f"bbb-fleet-spool:{target}"])
    assert list(other.iterdir()) == []
    assert not (storage.spool / NAME).exists()


def test_a_node_cannot_read_the_spool(storage: Storage, tmp_path: Path) -> None:
    storage.arriving(b"other bytes")
    with pytest.raises(handover.DeliveryError):
        storage.transport._run(["rsync", "--rsh=ssh", f"bbb-fleet-spool:{NAME}", str(tmp_path / "stolen")])
    assert not (tmp_path / "stolen").exists()


def test_a_refusal_contains_the_gates_message(storage: Storage, archive: Path) -> None:
    with pytest.raises(handover.DeliveryError, match="no room"):
        storage.transport.deliver(archive, 999_999_999_999_999, digest(archive))


def test_an_unreachable_storage_host_ends_the_pass(storage: Storage, archive: Path) -> None:
    (storage.programs / "ssh").write_text("#!/bin/sh\necho 'ssh: connect: no route to host' >&2\nexit 255\n")
    with pytest.raises(handover.UnreachableError, match="no route to host"):
        storage.transport.check()
