"""BBB's request signature: the hex digest of call name, raw query string and shared secret.

Source: bbb-web's GetChecksumValidator and ParamsProcessorUtil; the digest is told by its length.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable

_BY_LENGTH = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_PARAMETER = re.compile(rb"(?:^|&)checksum=([^&]*)")


def sign(call: str, query: bytes, secret: str, algorithm: str) -> str:
    """The checksum over ``query``, which holds no checksum; call is the path after ``api/``, such as "create"."""
    return hashlib.new(algorithm, call.encode() + query + secret.encode(), usedforsecurity=False).hexdigest()


def split(query: bytes) -> tuple[bytes, list[bytes]]:
    """The query string without its checksum parameters, and their values, both byte for byte."""
    values = _PARAMETER.findall(query)
    rest = b"&".join(part for part in query.split(b"&") if not part.startswith(b"checksum="))
    return rest, values


def digest(given: str) -> str:
    """Which digest a checksum is of, told by its length; "none" where it is of none that BBB knows."""
    return _BY_LENGTH.get(len(given), "none")


def matches(call: str, query: bytes, given: str, secrets: Iterable[str], allowed: Collection[str]) -> bool:
    """Whether ``given`` signs ``query`` (without checksum) with any of the secrets and an allowed digest.

    Every secret is tried, in constant time each, so that timing tells nothing about which one is right.
    """
    algorithm = _BY_LENGTH.get(len(given))
    if algorithm is None or algorithm not in allowed or not given.isascii():
        return False
    lowered = given.lower()
    found = False
    for secret in secrets:
        found |= bool(secret) and hmac.compare_digest(sign(call, query, secret, algorithm), lowered)
    return found
