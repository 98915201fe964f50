"""BBB's request signature. The balancer's code is not used because shared code would hide its mistakes.

Rule: hex digest of call name + query string as sent, without the checksum + secret, in UTF-8.
"""

from __future__ import annotations

import hashlib

#: Digests that BBB knows, by the names used in its `supportedChecksumAlgorithms`.
DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


def checksum(call: str, query: str, secret: str, algorithm: str = "sha256") -> str:
    """Signature of one call, lower-case hex; `query` is the raw query string without its checksum parameter."""
    return DIGESTS[algorithm](f"{call}{query}{secret}".encode()).hexdigest()
