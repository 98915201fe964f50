"""Servers at a node's address that are not a BBB node, or a hostile one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aiohttp import web

from balancer.core.node_call import ANSWER_LIMIT_BYTES
from balancer.core.nodes import ObservedState
from balancer.settings import Settings
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import PollRounds

EMPTY = "<response><returncode>SUCCESS</returncode><meetings/></response>"
INDEX = "<response><returncode>SUCCESS</returncode><version>{0}</version><apiVersion>{0}</apiVersion></response>"
MEETING = "<meeting><meetingID>room</meetingID></meeting>"
BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><response>&b;</response>'

Serve = Callable[..., Awaitable[None]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Time for the longest answer on a busy machine; no server here hangs."""
    return replace(settings, poll_timeout=60.0)


@pytest.fixture
async def serve(fleet: Fleet) -> AsyncIterator[Serve]:
    """Registers a node whose server gives these answers."""
    async with AsyncExitStack() as stack:

        async def serve(meetings: web.Response | str, *, version: str = "2.0") -> None:
            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                if request.path.endswith("getMeetings"):
                    if isinstance(meetings, web.Response):
                        return meetings
                    return web.Response(text=meetings, content_type="text/xml")
                return web.Response(text=INDEX.format(version), content_type="text/xml")

            runner = web.ServerRunner(web.Server(answer))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            fleet.register("bbb1", f"http://127.0.0.1:{runner.addresses[0][1]}/bigbluebutton/api/")

        yield serve


async def test_the_smallest_possible_node(poller: PollRounds, fleet: Fleet, serve: Serve) -> None:
    await serve(EMPTY)
    await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.ONLINE, "")}


@pytest.mark.parametrize("version", ["1.0", "3.0", ""])
async def test_an_api_of_another_version_is_refused(
    poller: PollRounds, fleet: Fleet, serve: Serve, version: str
) -> None:
    await serve(EMPTY, version=version)
    await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.SUSPECT, "version")}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<response/>",
        "<html><body>It works!</body></html>",
        EMPTY.replace("<meetings/>", f"<meetings>{MEETING}</meetings>"),
        BOMB,
        "<response><returncode>FAILED</returncode><messageKey>busy</messageKey></response>",
    ],
    ids=["empty", "no returncode", "HTML", "a meeting without identity", "entity bomb", "FAILED"],
)
async def test_an_answer_that_is_not_bbb_s_is_a_failed_poll(
    poller: PollRounds, fleet: Fleet, serve: Serve, answer: str
) -> None:
    await serve(answer)
    await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.SUSPECT, "http")}
    assert fleet.snapshots.all() == {}


async def test_a_redirect_is_not_followed(poller: PollRounds, fleet: Fleet, serve: Serve) -> None:
    await fleet.add("other")
    await serve(web.Response(status=302, headers={"Location": f"{fleet.nodes['other'].url}getMeetings"}))
    await poller.run_once()
    assert fleet.observed()["bbb1"] == (ObservedState.SUSPECT, "http")


async def test_an_answer_that_is_too_long_is_cut_off(poller: PollRounds, fleet: Fleet, serve: Serve) -> None:
    await serve(EMPTY.replace("<meetings/>", "<meetings>" + " " * ANSWER_LIMIT_BYTES + "</meetings>"))
    await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.SUSPECT, "http")}
