"""Fixture: a front end that receives callbacks."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web


class Receiver:
    """Records callbacks in `seen` and answers with the given statuses, then with 200."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.statuses: list[int] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.path_qs, await request.text()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()
