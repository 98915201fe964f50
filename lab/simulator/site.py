"""Everything a node serves beside the API."""

from aiohttp import web

from lab.simulator.answers import page
from lab.simulator.faults import written
from lab.simulator.node import Node


class Site:
    """The node's other paths."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer a request outside of the API."""
        return written(page("404 Not Found", "nginx", 404))

    async def close(self) -> None:
        """End what is open."""
