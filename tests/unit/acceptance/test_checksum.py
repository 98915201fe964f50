"""The suite's own signature code, checked against known signatures of BBB."""

import pytest

from acceptance.support.checksum import checksum
from tests.checksum_vectors import SECRET, VECTORS


@pytest.mark.parametrize(("call", "query", "sha1", "sha256"), VECTORS)
def test_signature_is_bbbs(call: str, query: str, sha1: str, sha256: str) -> None:
    """The same bytes give BBB's digest, with each algorithm."""
    assert checksum(call, query, SECRET, "sha1") == sha1
    assert checksum(call, query, SECRET, "sha256") == sha256


@pytest.mark.parametrize(("algorithm", "length"), [("sha384", 96), ("sha512", 128)])
def test_long_digests_have_the_length_that_bbb_expects(algorithm: str, length: int) -> None:
    """BBB chooses the algorithm by the digest's length."""
    assert len(checksum("create", "a=b", SECRET, algorithm)) == length
