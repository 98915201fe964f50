"""Whose secret signed a call."""

import hashlib

import pytest

from balancer.core.tenants import Tenant, signer

ALL = ("sha1", "sha256", "sha384", "sha512")
FIRST = Tenant(1, "first", ("first-new", "first-old"), ALL)
SECOND = Tenant(2, "second", ("second",), ("sha512",))
NOBODY = Tenant(3, "nobody", (), ALL)


def sign(text: str, secret: str, algorithm: str) -> str:
    return hashlib.new(algorithm, f"create{text}{secret}".encode()).hexdigest()


@pytest.mark.parametrize(
    ("given", "tenant"),
    [
        (sign("a=1", "first-new", "sha256"), FIRST),
        (sign("a=1", "first-old", "sha1"), FIRST),
        (sign("a=1", "second", "sha512"), SECOND),
        (sign("b=2", "second", "sha512"), SECOND),
        (sign("a=1", "second", "sha256"), None),
        (sign("c=3", "second", "sha512"), None),
        (sign("a=1", "", "sha256"), None),
        ("", None),
    ],
)
def test_signer(given: str, tenant: Tenant | None) -> None:
    assert signer([NOBODY, FIRST, SECOND], "create", [b"a=1", b"b=2"], given) is tenant


def test_secrets_are_not_shown() -> None:
    assert "first-new" not in repr(FIRST)
