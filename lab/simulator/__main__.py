"""`python -m lab.simulator`: run one or many nodes in this process until SIGTERM or Ctrl-C."""

import asyncio
import logging
import signal
import ssl
import sys
import tempfile
from pathlib import Path

from lab.simulator.node import Node
from lab.simulator.options import NodeOptions, parse
from lab.simulator.server import NodeServer


async def serve(nodes: list[NodeOptions]) -> None:
    """Start every node, report that on standard output, and stop on a signal."""
    servers = [NodeServer(Node(each.settings), each.host, each.port, _tls(each)) for each in nodes]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        for server in servers:
            await server.start()
            print(f"node {server.node.settings.server_url} listens on {server.host}:{server.port}", flush=True)
        print("READY", flush=True)
        await stop.wait()
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


def _tls(given: NodeOptions) -> ssl.SSLContext | None:
    if given.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*given.tls)
    return context


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with tempfile.TemporaryDirectory(prefix="bbb-simulator-") as temporary:
        asyncio.run(serve(parse(sys.argv[1:], Path(temporary))))


if __name__ == "__main__":
    main()
