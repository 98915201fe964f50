"""Rules for what may stand in an archive. Each hostile archive meets them for real in tests/integration/importing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.core.archive import ArchiveRefusedError, Contents, Member, check, safe_path
from tests.archives import RECORD_ID

ROOT = f"presentation/{RECORD_ID}"
LIMIT = 1000


def accepted(*members: Member) -> Contents:
    return check(members, limit_bytes=LIMIT)


def file(name: str, size: int = 10) -> Member:
    return Member(name, "file", size)


METADATA = file(f"{ROOT}/metadata.xml")


def test_formats_files_and_bytes_are_counted() -> None:
    members = [
        Member("presentation", "directory", 0),
        Member(f"{ROOT}/", "directory", 0),
        METADATA,
        file(f"{ROOT}/deep/er/slide.png", 30),
        file(f"./video/{RECORD_ID}/metadata.xml", 5),
        # Two tars of one recording put together name their directories twice.
        Member(f"{ROOT}", "directory", 0),
    ]
    assert accepted(*members) == Contents(RECORD_ID, {"presentation", "video"}, 3, 45)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([METADATA, file(f"{ROOT}/big", LIMIT)], "unpacks to more than 1000 bytes"),
        ([METADATA, METADATA], "is in the archive twice"),
        ([METADATA, file(f"./{ROOT}//metadata.xml")], "is in the archive twice"),
        ([METADATA, Member(f"{ROOT}/metadata.xml", "directory", 0)], "is in the archive twice"),
        ([file(f"{ROOT}/x/y"), file(f"{ROOT}/x"), METADATA], "is in the archive twice"),
        ([file(f"{ROOT}/x"), file(f"{ROOT}/x/y"), METADATA], "is below a file"),
        ([METADATA, Member(f"{ROOT}/x", "symbolic link", 0)], "is a symbolic link; only files and directories"),
        ([METADATA, file(f"{ROOT}/x", -1)], "negative size"),
        ([METADATA, file("presentation/a-1/metadata.xml")], "belongs to another recording"),
        ([file("")], "is not below <format>/<recordID>/"),
        ([], "holds no recording"),
        ([Member(ROOT, "directory", 0)], "holds no presentation/"),
        ([Member(f"{ROOT}/metadata.xml", "directory", 0)], "holds no presentation/"),
    ],
)
def test_refused(members: list[Member], words: str) -> None:
    with pytest.raises(ArchiveRefusedError, match=words):
        accepted(*members)


def test_an_archive_without_end_is_read_no_further_than_needed() -> None:
    def endless() -> object:
        yield METADATA
        number = 0
        while True:
            number += 1
            yield file(f"{ROOT}/{number}", 0)

    with pytest.raises(ArchiveRefusedError, match="holds more than 100000 members"):
        check(endless(), limit_bytes=LIMIT)  # type: ignore[arg-type]


@given(st.text(), st.sampled_from(["", ROOT + "/", "presentation/", "/", "../"]))
def test_no_accepted_path_leaves_the_directory(name: str, prefix: str) -> None:
    try:
        parts = safe_path(prefix + name)
    except ArchiveRefusedError:
        return
    assert not {"", ".", ".."} & set(parts)
    assert all("/" not in part and "\\" not in part and part.isprintable() for part in parts)
    assert len(parts) < 2 or parts[1].replace("-", "").isalnum()


@given(st.text(min_size=1))
def test_reasons_are_one_printable_line(name: str) -> None:
    with pytest.raises(ArchiveRefusedError) as refused:
        safe_path(f"/{name}")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 3000
