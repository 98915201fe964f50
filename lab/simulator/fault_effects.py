"""The effects of faults on requests."""

import asyncio
from contextlib import suppress

from aiohttp import web

from lab.simulator.answers import HTML, Answer, page
from lab.simulator.misbehaviour import INTERRUPTS, SPOILERS, Fault
from lab.simulator.node import Node

_TITLES = {500: "500 Internal Server Error", 502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable"}
#: Seconds between two checks of a hanging call whether its client has disconnected.
_CHECK_INTERVAL = 0.5


def written(answer: Answer) -> web.Response:
    """Return an answer as aiohttp's response, with the headers that bbb-web sets."""
    body = answer.body.encode("utf-8", "replace") if isinstance(answer.body, str) else answer.body
    headers = {"Cache-Control": "no-cache"} | answer.headers
    headers["Content-Type"] = f"{answer.content_type};charset=utf-8"
    return web.Response(body=body, status=answer.status, headers=headers)


async def before(node: Node, request: web.BaseRequest, call: str) -> web.StreamResponse | None:
    """Apply a fault before the call is carried out; None lets the call continue."""
    fault = node.misbehaviour.strike(call, INTERRUPTS)
    return None if fault is None else await _interrupt(fault, request)


async def after(node: Node, request: web.BaseRequest, call: str, answer: Answer) -> web.StreamResponse:
    """Apply a fault to the finished answer, or return the answer unchanged."""
    fault = node.misbehaviour.strike(call, INTERRUPTS, after=True)
    if fault is not None and (struck := await _interrupt(fault, request)) is not None:
        return struck
    spoiler = node.misbehaviour.strike(call, SPOILERS)
    return written(answer) if spoiler is None else await _spoil(spoiler.kind, request, answer)


async def _interrupt(fault: Fault, request: web.BaseRequest) -> web.StreamResponse | None:
    if fault.kind == "slow":
        await _wait(fault, request, fault.seconds)
        return None
    if fault.kind == "hang":
        await _wait(fault, request, None)
        return _reset(request)
    if fault.kind == "refuse":
        return _reset(request)
    if fault.kind == "error":
        title = _TITLES.get(fault.status, f"{fault.status} Error")
        return written(page(title, "nginx", fault.status))
    return None


async def _wait(fault: Fault, request: web.BaseRequest, seconds: float | None) -> None:
    """Wait until the time is over, the fault is lifted or the client has disconnected."""
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    while not fault.lifted.is_set() and request.transport is not None and not request.transport.is_closing():
        left = _CHECK_INTERVAL if until is None else min(_CHECK_INTERVAL, until - loop.time())
        if left <= 0:
            return
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(fault.lifted.wait(), left)


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection; aiohttp then drops the response returned here."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _spoil(kind: str, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    if kind == "html":
        return written(Answer("<!DOCTYPE html>\n<html><body><h1>Welcome to nginx!</h1></body></html>\n", HTML))
    if kind == "cut":
        return await _cut(request, written(answer))
    answer.body = answer.body[: len(answer.body) // 2]
    return written(answer)


async def _cut(request: web.BaseRequest, whole: web.Response) -> web.StreamResponse:
    body = whole.body if isinstance(whole.body, bytes) else b""
    stream = web.StreamResponse(status=whole.status, headers=whole.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return stream
