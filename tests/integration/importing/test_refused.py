"""Archives that must not be taken: each is set aside with a reason, and nothing else changes."""

import dataclasses
import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from balancer.importing.importer import Importer
from balancer.settings import Settings
from balancer.storage.postgresql.database import Connection, Database
from tests import archives
from tests.archives import OTHER_ID, RECORD_ID, member

ROOT = f"presentation/{RECORD_ID}"
GOOD = archives.presentation()
BILLION = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>
<recording><id>&b;</id></recording>"""

#: what it is -> (files, members without content, words of the reason)
HOSTILE: dict[str, tuple[dict[str, bytes], list[tarfile.TarInfo], str]] = {
    "a path out of it": (GOOD | {"../evil": b"x"}, [], "leads out of the archive"),
    "a path out of it, further down": (GOOD | {f"{ROOT}/../../../evil": b"x"}, [], "leads out of the archive"),
    "an absolute path": (GOOD | {"/etc/evil": b"x"}, [], "absolute path"),
    "a symbolic link": (GOOD, [member(f"{ROOT}/x", tarfile.SYMTYPE, "/etc/passwd")], "is a symbolic link"),
    "a link for a directory": (
        GOOD,
        [member(f"{ROOT}/video2", tarfile.SYMTYPE, "/tmp")],
        "is a symbolic link",
    ),
    "a hard link": (GOOD, [member(f"{ROOT}/x", tarfile.LNKTYPE, f"{ROOT}/metadata.xml")], "is a hard link"),
    "a character device": (GOOD, [member(f"{ROOT}/x", tarfile.CHRTYPE)], "is a character device"),
    "a block device": (GOOD, [member(f"{ROOT}/x", tarfile.BLKTYPE)], "is a block device"),
    "a named pipe": (GOOD, [member(f"{ROOT}/x", tarfile.FIFOTYPE)], "is a named pipe"),
    "an unknown type": (GOOD, [member(f"{ROOT}/x", b"V")], "unknown type"),
    "a format named ..": ({f"../{RECORD_ID}/metadata.xml": b""}, [], "leads out of the archive"),
    "a format named .": ({f"./{RECORD_ID}/metadata.xml": b""}, [], "which is no format's name"),
    "a format of the player": ({f"playback/{RECORD_ID}/metadata.xml": b""}, [], "which is no format's name"),
    "an id named ..": ({"presentation/../metadata.xml": b""}, [], "leads out of the archive"),
    "an id that is none": ({"presentation/recording/metadata.xml": b""}, [], "is no recordID"),
    "an id in capitals": ({f"presentation/{RECORD_ID.upper()}/metadata.xml": b""}, [], "is no recordID"),
    "two recordings": (GOOD | archives.presentation(OTHER_ID), [], "belongs to another recording"),
    "a stray file": (GOOD | {"presentation/readme.txt": b"x"}, [], "is no recordID"),
    "a file for a recording": ({ROOT: b"x"}, [], "is not below <format>/<recordID>/"),
    "a control character": (GOOD | {f"{ROOT}/a\nb": b"x"}, [], "unprintable characters"),
    "a backslash": (GOOD | {f"{ROOT}/a\\b": b"x"}, [], "unprintable characters"),
    "a name that is too long": (GOOD | {f"{ROOT}/{'n' * 250}": b"x"}, [], "name that is too long"),
    "a path that is too deep": (GOOD | {f"{ROOT}/{'d/' * 30}x": b"x"}, [], "directories deep"),
    "nothing": ({}, [], "holds no recording"),
    "directories alone": ({}, [member(ROOT, tarfile.DIRTYPE)], "holds no presentation/"),
    "no metadata.xml": ({f"{ROOT}/shapes.svg": b"x"}, [], "holds no presentation/"),
    "one format of two without metadata.xml": (GOOD | {f"video/{RECORD_ID}/x": b"x"}, [], "holds no video/"),
    "a file below a file": (GOOD | {f"{ROOT}/shapes.svg/x": b"x"}, [], "is below a file"),
    "a directory for a file": (GOOD, [member(f"{ROOT}/shapes.svg", tarfile.DIRTYPE)], "is in the archive twice"),
    "metadata.xml of another recording": (
        archives.presentation(xml=archives.presentation_xml(OTHER_ID)),
        [],
        "but is in the directory of",
    ),
    "metadata.xml of another format": (
        archives.presentation(xml=archives.presentation_xml(playback_format="../..")),
        [],
        "but is in the directory of 'presentation'",
    ),
    "metadata.xml without playback": (archives.presentation(xml=b"<recording/>"), [], "has no <playback>"),
    "metadata.xml that is none": (archives.presentation(xml=b"<html></html>"), [], "does not begin with <recording>"),
    "metadata.xml that is cut": (archives.presentation(xml=archives.presentation_xml()[:500]), [], "is not XML"),
    "an empty metadata.xml": (archives.presentation(xml=b""), [], "is not XML"),
    "metadata.xml with entities": (archives.presentation(xml=BILLION), [], "document type or entities"),
    "metadata.xml without end": (archives.presentation(xml=b"<recording>" + b" " * 5_000_000), [], "larger than"),
}


def reason(share: Path, name: str = "evil.tar") -> str:
    return (share / "spool" / "failed" / f"{name}.reason").read_text()


def assert_refused(share: Path, rows: Connection, words: str, name: str = "evil.tar") -> None:
    """In failed/ with the reason, and no trace anywhere else."""
    assert words in reason(share, name)
    assert reason(share, name).startswith(f"{name}: ")
    assert (share / "spool" / "failed" / name).is_file()
    left = sorted(str(path.relative_to(share)) for path in share.rglob("*") if path.is_file() and path.name != name)
    assert left == [".bbb-fleet-share", f"spool/failed/{name}.reason"]
    assert [path for path in (share / "published").rglob("*")] == []
    assert rows.execute("SELECT record_id FROM recordings").fetchall() == []
    found = rows.execute("SELECT state, reason FROM imports").fetchall()
    assert [row["state"] for row in found] == ["refused"]
    assert words in found[0]["reason"]


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile(share: Path, importer: Importer, rows: Connection, case: str) -> None:
    files, members, words = HOSTILE[case]
    archives.write(share / "spool" / "evil.tar", files, members)
    assert importer.run_once() is True
    assert_refused(share, rows, words)
    assert importer.run_once() is False


def test_a_file_that_stands_there_twice(share: Path, importer: Importer, rows: Connection) -> None:
    path = share / "spool" / "evil.tar"
    archives.write(path, GOOD)
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo(f"{ROOT}/shapes.svg"), io.BytesIO())
    importer.run_once()
    assert_refused(share, rows, "is in the archive twice")


def test_a_name_that_is_not_utf_8(share: Path, importer: Importer, rows: Connection) -> None:
    path = share / "spool" / "evil.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        tar.addfile(tarfile.TarInfo(f"{ROOT}/übung"), io.BytesIO())
    importer.run_once()
    assert_refused(share, rows, "not UTF-8")


def test_holes(share: Path, importer: Importer, rows: Connection, tmp_path: Path) -> None:
    """GNU tar's sparse files unpack to far more than the archive holds."""
    source = tmp_path / "source" / "presentation" / RECORD_ID
    source.mkdir(parents=True)
    (source / "metadata.xml").write_bytes(archives.presentation_xml())
    with (source / "bomb").open("wb") as file:
        file.truncate(10**12)
    command = ["tar", "--sparse", "-C", tmp_path / "source", "-cf", share / "spool" / "evil.tar", "presentation"]
    subprocess.run(command, check=True)
    importer.run_once()
    assert_refused(share, rows, "is a file with holes")


def test_more_than_the_limit(share: Path, settings: Settings, database: Database, rows: Connection) -> None:
    archives.write(share / "spool" / "evil.tar", GOOD)
    Importer(dataclasses.replace(settings, import_limit_bytes=3000), database).run_once()
    assert_refused(share, rows, "raise balancer_import_limit_bytes")


def test_too_many_members(share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balancer.core.archive.MAX_MEMBERS", 3)
    archives.write(share / "spool" / "evil.tar", GOOD)
    importer.run_once()
    assert_refused(share, rows, "holds more than 3 members")


def with_header(info: tarfile.TarInfo, **fields: tuple[int, bytes]) -> bytes:
    """A header block with raw bytes put over some of its fields, and a checksum that fits."""
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for offset, raw in fields.values():
        block[offset : offset + len(raw)] = raw
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_a_negative_size(share: Path, importer: Importer, rows: Connection) -> None:
    """It would send a reader back to the same header for ever."""
    info = tarfile.TarInfo(f"{ROOT}/x")
    negative = b"\xff" + (2**88 - 1024).to_bytes(11, "big")
    (share / "spool" / "evil.tar").write_bytes(with_header(info, size=(124, negative)) + bytes(1024))
    importer.run_once()
    assert_refused(share, rows, "negative size")


def test_a_header_that_claims_gigabytes(share: Path, importer: Importer, rows: Connection) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    info.size = 4 * 2**30
    (share / "spool" / "evil.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))
    importer.run_once()
    assert_refused(share, rows, "header longer than 1 MiB")


@pytest.mark.parametrize("size", [0, 1, 100, 511])
def test_a_scrap_is_given_time_and_then_refused(share: Path, importer: Importer, rows: Connection, size: int) -> None:
    (share / "spool" / "evil.tar").write_bytes(archives.write(share / "spool" / "x", GOOD).read_bytes()[:size])
    (share / "spool" / "x").unlink()
    wait_until_refused(share, importer)
    assert_refused(share, rows, "its transfer broke off: send it again")


def test_every_truncation_is_given_time_and_then_refused(share: Path, importer: Importer, rows: Connection) -> None:
    whole = archives.write(share / "spool" / "x", GOOD).read_bytes()
    (share / "spool" / "x").unlink()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        ends = sorted({info.offset for info in tar} | {info.offset_data for info in tar} | {tar.offset})
    cuts = [cut for end in ends for cut in (end, end + 7) if 0 < cut < len(whole)]
    for number, cut in enumerate(cuts):
        (share / "spool" / f"cut{number}.tar").write_bytes(whole[:cut])
    while importer.run_once() or any(
        row["open"] for row in rows.execute("SELECT count(*) AS open FROM imports WHERE finished_at IS NULL")
    ):
        pass
    found = rows.execute("SELECT state, attempts FROM imports").fetchall()
    # The last cut lies in the zeros after the mark of the end: that archive is whole.
    assert [row["state"] for row in found].count("refused") >= len(cuts) - 1
    assert all(row["attempts"] == 2 for row in found if row["state"] == "refused")


def wait_until_refused(share: Path, importer: Importer, name: str = "evil.tar") -> None:
    deadline = time.monotonic() + 60
    while not (share / "spool" / "failed" / name).exists():
        importer.run_once()
        assert time.monotonic() < deadline, "not refused within 60 s"


def test_an_archive_that_is_still_being_written_is_waited_for(
    share: Path, importer: Importer, rows: Connection
) -> None:
    """Some senders write straight to the final name; the claim's rename does not disturb them."""
    whole = archives.write(share / "spool" / "x", GOOD).read_bytes()
    (share / "spool" / "x").unlink()
    with (share / "spool" / "late.tar").open("wb", buffering=0) as writer:
        for part in range(0, len(whole), 3000):
            writer.write(whole[part : part + 3000])
            importer.run_once()
    deadline = time.monotonic() + 60
    while not (share / "published" / ROOT).exists():
        importer.run_once()
        assert time.monotonic() < deadline, "not imported within 60 s"
    assert rows.execute("SELECT state FROM imports").fetchall() == [{"state": "done"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(os.urandom(4096)), "is compressed"),
        (b"BZh9" + os.urandom(2000), "is compressed"),
        (b"PK\x03\x04" + b"a" * 4000, "is not a tar archive"),
        (b"<html>" * 1000, "is not a tar archive"),
    ],
)
def test_not_a_tar(share: Path, importer: Importer, rows: Connection, content: bytes, words: str) -> None:
    (share / "spool" / "evil.tar").write_bytes(content)
    importer.run_once()
    assert_refused(share, rows, words)


def test_a_broken_header_in_the_middle(share: Path, importer: Importer, rows: Connection) -> None:
    path = archives.write(share / "spool" / "x", GOOD)
    content = bytearray(path.read_bytes())
    path.unlink()
    with tarfile.open(fileobj=io.BytesIO(bytes(content))) as tar:
        second = tar.getmembers()[1].offset
    content[second + 10] ^= 1
    (share / "spool" / "evil.tar").write_bytes(bytes(content))
    importer.run_once()
    assert_refused(share, rows, "broken header")


def test_a_second_refusal_of_one_name_keeps_both(share: Path, importer: Importer) -> None:
    for _ in range(2):
        archives.write(share / "spool" / "evil.tar", {})
        importer.run_once()
    names = sorted(os.listdir(share / "spool" / "failed"))
    assert names == ["evil-2.tar", "evil-2.tar.reason", "evil.tar", "evil.tar.reason"]


def test_odd_names_of_archives(share: Path, importer: Importer, rows: Connection) -> None:
    for name in (b"a\nb.tar", b"\xff\xfe.tar", b"%s.tar" % (b"n" * 251), "ö 😀.tar".encode()):
        archives.write(share / "spool" / "x", {}).rename(share / "spool" / os.fsdecode(name))
    while importer.run_once():
        pass
    assert [row["state"] for row in rows.execute("SELECT state FROM imports")] == ["refused"] * 4
    assert sum(name.endswith(".reason") for name in os.listdir(share / "spool" / "failed")) == 4


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_file_is_left_alone(share: Path, importer: Importer, kind: str) -> None:
    path = share / "spool" / "odd.tar"
    {"directory": os.mkdir, "link": lambda p: os.symlink("/etc/passwd", p), "pipe": os.mkfifo}[kind](path)
    assert importer.run_once() is False


def test_a_bad_archive_does_not_keep_a_good_one_waiting(
    share: Path, importer: Importer, rows: Connection, run_all: Callable[[], int]
) -> None:
    archives.write(share / "spool" / "a.tar", {})
    (share / "spool" / "b.tar").write_bytes(b"")
    archives.write(share / "spool" / "c.tar", GOOD)
    for _ in range(3):
        importer.run_once()
    assert (share / "published" / ROOT / "metadata.xml").is_file()


def test_an_archive_that_always_breaks_the_importer_is_set_aside(
    share: Path, importer: Importer, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr("balancer.core.metadata_xml.parse", broken)
    archives.write(share / "spool" / "evil.tar", GOOD)
    wait_until_refused(share, importer)
    assert_refused(share, rows, "failed 3 times, the last time with KeyError: 'a mistake of ours'")
    assert rows.execute("SELECT attempts FROM imports").fetchall() == [{"attempts": 3}]


def test_bad_utf_8_in_metadata_is_replaced(share: Path, importer: Importer, rows: Connection) -> None:
    xml = archives.presentation_xml(name="Bad XX name").replace(b"XX", b"\xff\x0b")
    archives.write(share / "spool" / "a.tar", archives.presentation(xml=xml))
    importer.run_once()
    assert rows.execute("SELECT name FROM recordings").fetchall() == [{"name": "Bad \ufffd name"}]
