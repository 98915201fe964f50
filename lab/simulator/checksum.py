"""BBB's request signature (reference 2), independent of the balancer's code."""

import hashlib
import hmac
import re

_BY_LENGTH = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def digest(call: str, query: bytes, secret: str, algorithm: str) -> str:
    """Return the signature of `query`, which contains no checksum parameter, as lower-case hex."""
    text = call.encode() + query + secret.encode()
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()


def without_checksum(query: bytes, checksum: str) -> bytes:
    """Remove `checksum` textually, as BBB does: with the `&` before it, after it, then alone."""
    parameter = b"checksum=" + checksum.encode("utf-8", "surrogateescape")
    for form in (b"&" + parameter, parameter + b"&", parameter):
        query = query.replace(form, b"")
    return query


def matches(
    call: str,
    query: bytes,
    checksum: str,
    secret: str,
    *,
    algorithms: tuple[str, ...],
    any_case: bool,
) -> bool:
    """Return whether `checksum` signs the raw query string with a digest that the node allows."""
    algorithm = _BY_LENGTH.get(len(checksum))
    if algorithm not in algorithms:
        return False
    cleaned = _CONTROL.sub(b"", query).strip()
    expected = digest(call, without_checksum(cleaned, checksum), secret, algorithm)
    given = checksum.lower() if any_case else checksum
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
