"""One node's listening socket: reads requests, applies faults, writes answers.

Uses aiohttp's low-level server, because a router would cost benchmarks time. Works with aiohttp 3.8 (Debian 12) and
3.14.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from lab.simulator import fault_effects
from lab.simulator.answers import page
from lab.simulator.control import Control
from lab.simulator.dispatch import answer, call_name
from lab.simulator.frozen_statistics import freeze
from lab.simulator.misbehaviour import Fault
from lab.simulator.node import Node
from lab.simulator.request import Call, Parameters
from lab.simulator.request_log import LoggedRequest
from lab.simulator.site import Site

#: aiohttp must accept every line that the node is to refuse with a 414.
_LONGEST_LINE = 1 << 20


class NodeServer:
    """A node on a TCP port."""

    def __init__(self, node: Node, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.node = node
        self.host, self.port, self._tls = host, port, tls
        self._site = Site(node)
        self._control = Control(node, self)
        self._listener: asyncio.Server | None = None
        self._stopping = False
        self._web: web.Server | None = None

    async def start(self) -> None:
        """Listen and run the node's timers. If `port` was 0, it is the chosen port afterwards."""
        self._web = web.Server(
            self._handle,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=75,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        await self.listen()
        self._name_port()
        self.node.background.spawn(self.node.life.watch())
        self.node.recorder.resume()

    async def listen(self) -> None:
        """Open the listening socket."""
        if self._web is None:
            raise RuntimeError("call start before listen")
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._web, self.host, self.port, ssl=self._tls, backlog=1024, reuse_address=True
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def _name_port(self) -> None:
        """Replace port 0 in the server's URL by the port that the system chose."""
        origin, _, port = self.node.settings.server_url.rpartition(":")
        if port == "0":
            self.node.settings = replace(self.node.settings, server_url=f"{origin}:{self.port}")

    def deafen(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def disconnect(self) -> None:
        """Close every open connection."""
        if self._web is not None:
            await self._web.shutdown(timeout=0.5)

    async def stop(self) -> None:
        """Stop listening, and end tasks and connections."""
        self._stopping = True
        self.deafen()
        self.node.misbehaviour.lift()
        await self._site.close()
        await self.node.close()
        await self.disconnect()

    def misbehave(self, parameters: dict[str, Any]) -> Fault:
        """Put a fault in force; raises ValueError if the parameters describe none."""
        fault = self.node.misbehaviour.add(Fault.read(parameters))
        if fault.kind == "frozen":
            freeze(self.node, fault)
        elif fault.kind == "deaf":
            self.node.background.spawn(self._stay_deaf(fault))
        self._set_clock()
        return fault

    def mend(self, number: int | None = None) -> list[Fault]:
        """Lift one fault or all."""
        lifted = self.node.misbehaviour.lift(number)
        self._set_clock()
        return lifted

    def _set_clock(self) -> None:
        clock, faults_now = self.node.clock, self.node.misbehaviour
        clock.skew = faults_now.off_by("skew", "backdate")
        clock.header_skew = faults_now.off_by("skew")

    async def restart(self, down_seconds: float) -> None:
        """Drop every connection and all memory, and refuse connections for a while."""
        # The answer to the restart request must be sent first.
        await asyncio.sleep(0.05)
        self.deafen()
        await self.node.restart()
        await self._site.close()
        await self.disconnect()
        await asyncio.sleep(down_seconds)
        await self.listen()

    async def _stay_deaf(self, fault: Fault) -> None:
        self.deafen()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(fault.lifted.wait(), fault.seconds)
        if self._stopping:
            return
        await self.listen()
        self.mend(fault.number)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        limit = self.node.settings.max_body
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path.startswith("/simulator"):
            return await self._control.handle(request, path)
        if not request.raw_path.isascii():
            # Unlike newer releases and Java web servers, older aiohttp accepts such bytes.
            return fault_effects.written(page("400 Bad Request", "bbb-web", 400))
        if len(request.raw_path) + len(request.method) + 10 > self.node.settings.max_request_line:
            return fault_effects.written(page("414 Request-URI Too Large", "nginx", 414))
        name = call_name(path)
        if name is None:
            return await self._site.handle(request, path)
        return await self._call(request, name)

    async def _call(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        log = self.node.request_log
        logged = log.arrive(name, request.method, request.raw_path, request.raw_headers)
        try:
            struck = await fault_effects.before(self.node, request, name)
            if struck is not None:
                return struck
            finished = answer(self.node, await _read(request, name, logged))
            if self.node.clock.header_skew:
                finished.headers["Date"] = self.node.clock.header()
            return await fault_effects.after(self.node, request, name, finished)
        finally:
            log.leave(name)


async def _read(request: web.BaseRequest, name: str, logged: LoggedRequest) -> Call:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The interim answer does not count as part of the response.
        request.writer.output_size = 0
    body = await request.read() if request.can_read_body else b""
    if body:
        logged.note_body(body)
    query = (logged.query or "").encode("utf-8", "surrogateescape")
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    form = body if content_type == "application/x-www-form-urlencoded" else b""
    return Call(
        name=name,
        method=request.method,
        query=query,
        parameters=Parameters.decode(query, form),
        content_type=content_type,
        full_content_type=request.headers.get("Content-Type", ""),
        body=body,
        accept=request.headers.get("Accept", ""),
        cookies=dict(request.cookies),
    )
