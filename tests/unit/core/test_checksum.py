"""BBB's request signature. The vectors were computed by hand with another program."""

import hashlib

import pytest

from balancer.core import checksum

SECRET = "s3cretForTests"
VECTORS = [
    ("getMeetings", b"", "2eb0714b77bb3e5dd9cd6ae122ea1662c03b696d"),
    ("getMeetings", b"", "7811b4ca429ef35346492d6097ab0a44d5b3fccdfcd60136a166ba6b55f32186"),
    # The same parameters in other bytes have another checksum.
    ("create", b"name=Alg%C3%A8bra+1&meetingID=course-77&record=true", "5d6ca675a544e4bc2370acfbde45b600bf05e95b"),
    ("create", b"name=Alg%c3%a8bra%201&meetingID=course-77&record=true", "fcdaf21c0b2cbd7b0df66235093f7b5feeed4b8d"),
    (
        "join",
        b"fullName=A%26B&meetingID=abc-2-5%5B0%5D&role=VIEWER&redirect=false",
        "2b52162925eb8b9d30b53ef5e3abb15d1ec7da1cbb529d60b367f2ff41196a9e",
    ),
    ("hooks/create", b"callbackURL=https%3A%2F%2Flms.example.org%2Fcb", "2e448bb14c12be2cf76175f0978265b82ea5fecb"),
]
ALL = ("sha1", "sha256", "sha384", "sha512")


@pytest.mark.parametrize(("call", "query", "digest"), VECTORS)
def test_vectors_are_signed_and_accepted(call: str, query: bytes, digest: str) -> None:
    algorithm = "sha1" if len(digest) == 40 else "sha256"
    assert checksum.sign(call, query, SECRET, algorithm) == digest
    assert checksum.matches(call, query, digest, [SECRET], ALL)


@pytest.mark.parametrize("algorithm", ALL)
def test_all_four_digests_are_distinguished_by_length_in_either_case(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"enda=1" + SECRET.encode()).hexdigest()
    assert checksum.matches("end", b"a=1", digest, [SECRET], ALL)
    assert checksum.matches("end", b"a=1", digest.upper(), [SECRET], [algorithm])
    assert not checksum.matches("end", b"a=1", digest, [SECRET], set(ALL) - {algorithm})


def test_any_secret_of_a_rotation_is_accepted_and_no_other() -> None:
    digest = checksum.sign("end", b"", SECRET, "sha256")
    assert checksum.matches("end", b"", digest, ["newer", SECRET], ALL)
    assert not checksum.matches("end", b"", digest, ["newer"], ALL)
    assert not checksum.matches("end", b"", digest, [], ALL)


def test_an_empty_secret_opens_nothing() -> None:
    assert not checksum.matches("end", b"", checksum.sign("end", b"", "", "sha256"), [""], ALL)


@pytest.mark.parametrize("given", ["", "0" * 39, "é" * 40, "0" * 64, "\u0660" * 40])
def test_what_is_no_digest_is_refused(given: str) -> None:
    assert not checksum.matches("end", b"", given, [SECRET], ALL)


@pytest.mark.parametrize(
    ("query", "rest", "values"),
    [
        (b"", b"", []),
        (b"checksum=X", b"", [b"X"]),
        (b"&checksum=X", b"", [b"X"]),
        (b"a=1&checksum=X", b"a=1", [b"X"]),
        (b"checksum=X&a=1", b"a=1", [b"X"]),
        (b"a=1&checksum=X&b=2", b"a=1&b=2", [b"X"]),
        # Odd separators are kept: they were signed.
        (b"a=1&&checksum=X&", b"a=1&&", [b"X"]),
        (b"checksum=X&a=1&checksum=Y", b"a=1", [b"X", b"Y"]),
        (b"mychecksum=X&checksums=Y", b"mychecksum=X&checksums=Y", []),
        (b"checksum[]=X&checksum=", b"checksum[]=X", [b""]),
    ],
)
def test_the_checksum_is_removed_at_any_position(query: bytes, rest: bytes, values: list[bytes]) -> None:
    assert checksum.split(query) == (rest, values)
