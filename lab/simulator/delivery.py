"""A node's outgoing callbacks, repeated as BBB repeats them."""

import asyncio
import logging
from collections.abc import Sequence

import aiohttp
from yarl import URL

_TIMEOUT = aiohttp.ClientTimeout(total=5)
log = logging.getLogger(__name__)


class Delivery:
    """Sends requests and repeats those that fail; a restart of the node loses those that wait."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        #: (URL, status or error) of every attempt, for the control API.
        self.attempts: list[tuple[str, str]] = []

    async def get(self, url: str, delays: Sequence[float]) -> None:
        """GET until 2xx, without following redirects; each delay counts from the previous attempt."""
        await self._repeat("GET", url, None, delays, accept_401=False)

    async def post(self, url: str, form: str, delays: Sequence[float]) -> None:
        """POST a form until 2xx or 401, as bbb-webhooks does."""
        await self._repeat("POST", url, form, delays, accept_401=True)

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _repeat(
        self, method: str, url: str, form: str | None, delays: Sequence[float], *, accept_401: bool
    ) -> None:
        for delay in delays:
            await asyncio.sleep(delay)
            outcome = await self._try(method, url, form)
            self.attempts.append((url, outcome))
            if outcome.startswith("2") or (accept_401 and outcome == "401"):
                return
        log.warning("callback %s given up after %d attempts", url.partition("?")[0], len(delays))

    async def _try(self, method: str, url: str, form: str | None) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        try:
            # Already encoded: the front end's URL is called byte for byte.
            async with self._session.request(
                method, URL(url, encoded=True), data=form, headers=headers, allow_redirects=form is not None
            ) as answer:
                return str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__
