"""Follows join links without a browser, up to BBB's answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from acceptance.support.bbb import BBB, BBBError

#: A join is redirected from the balancer to a node, and at most once more from there.
REDIRECTS = 3


@dataclass(frozen=True)
class JoinResponse:
    """BBB's final answer to a join link, and how long it took with all redirects (seconds)."""

    response: requests.Response
    seconds: float


def follow(bbb: BBB, link: str) -> JoinResponse:
    """Follows a link up to an answer that is not a redirect, or is one that carries BBB's `errors=`."""
    started = time.monotonic()
    for _ in range(REDIRECTS):
        response = bbb.get(link, allow_redirects=False)
        target = response.headers.get("Location", "")
        if not response.is_redirect or "errors" in parse_qs(urlsplit(target).query):
            return JoinResponse(response, time.monotonic() - started)
        link = urljoin(link, target)
    raise BBBError(f"{bbb.host}: a join link is redirected more than {REDIRECTS} times")
