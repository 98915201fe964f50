"""Join links, good ones and bad ones, followed without a browser as far as BBB's answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from acceptance.support.bbb import BBB, Answer, BBBError, Refusal

#: A join goes from the balancer to a node and at most once on from there.
REDIRECTS = 3


@dataclass(frozen=True)
class Followed:
    """Where a join link led: BBB's last answer, and how long it took in all (seconds)."""

    response: requests.Response
    seconds: float


def follow(bbb: BBB, link: str) -> Followed:
    """Follows a link until something answers that is no redirect, or a redirect that carries BBB's `errors=`."""
    started = time.monotonic()
    for _ in range(REDIRECTS):
        response = bbb.get(link, allow_redirects=False)
        target = response.headers.get("Location", "")
        if not response.is_redirect or "errors" in parse_qs(urlsplit(target).query):
            return Followed(response, time.monotonic() - started)
        link = urljoin(link, target)
    raise BBBError(f"{bbb.host}: a join link is redirected more than {REDIRECTS} times")


def refusal(bbb: BBB, followed: Followed) -> Refusal:
    """Why a followed link was refused; AssertionError if it was not."""
    return bbb.refusal_of(followed.response)


def answer(bbb: BBB, followed: Followed) -> Answer:
    """The node's XML for a link with redirect=false."""
    return bbb.parse("join", followed.response)
