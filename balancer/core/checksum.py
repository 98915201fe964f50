"""BBB's request signature: the hex digest of call name, raw query string and shared secret.

Source: bbb-web's GetChecksumValidator and ParamsProcessorUtil. The length of a checksum determines its digest.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable

_BY_LENGTH = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_PARAMETER = re.compile(rb"(?:^|&)checksum=([^&]*)")


def sign(call: str, query: bytes, secret: str, algorithm: str) -> str:
    """The checksum of ``query``, which has none yet; call: the path after ``api/``, such as "create"."""
    return hashlib.new(algorithm, call.encode() + query + secret.encode(), usedforsecurity=False).hexdigest()


def split(query: bytes) -> tuple[bytes, list[bytes]]:
    """The query string without its checksum parameters, and their values, both byte for byte."""
    values = _PARAMETER.findall(query)
    rest = b"&".join(part for part in query.split(b"&") if not part.startswith(b"checksum="))
    return rest, values


def digest(given: str) -> str:
    """The digest that a checksum was made with, by its length; "none" if BBB knows no such digest."""
    return _BY_LENGTH.get(len(given), "none")


def matches(call: str, query: bytes, given: str, secrets: Iterable[str], allowed: Collection[str]) -> bool:
    """Whether ``given`` signs ``query`` (without checksum) with any of the secrets and an allowed digest.

    Every secret is tried, in constant time each, so that timing does not reveal which one is right.
    """
    algorithm = _BY_LENGTH.get(len(given))
    if algorithm is None or algorithm not in allowed or not given.isascii():
        return False
    lowered = given.lower()
    matched = False
    for secret in secrets:
        matched |= bool(secret) and hmac.compare_digest(sign(call, query, secret, algorithm), lowered)
    return matched
