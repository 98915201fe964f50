"""The tests' own front end, which signs with hashlib and reads answers without the simulator's code."""

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

import aiohttp
import defusedxml.ElementTree
from yarl import URL

from tests.checksum_vectors import SECRET


def sign(call: str, query: str, algorithm: str = "sha256", secret: str = SECRET) -> str:
    return hashlib.new(algorithm, f"{call}{query}{secret}".encode()).hexdigest()


@dataclass
class Answer:
    """One answer, read completely."""

    status: int
    text: str
    headers: "aiohttp.typedefs.LooseHeaders"

    @property
    def xml(self) -> Element:
        root: Element = defusedxml.ElementTree.fromstring(self.text)
        return root

    def get(self, path: str) -> str | None:
        return self.xml.findtext(path)

    @property
    def key(self) -> str | None:
        return self.get("messageKey")

    @property
    def ok(self) -> bool:
        return self.get("returncode") == "SUCCESS"


class FrontEnd:
    """A front end of one node."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session, self.base = session, base

    async def fetch(self, path: str, method: str = "GET", **options: Any) -> Answer:
        """Send exactly this path and query."""
        url = URL(self.base + path, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def raw(self, call: str, query: str = "", *, algorithm: str = "sha256", **options: Any) -> Answer:
        """Make a signed call with a raw query string."""
        signature = f"checksum={sign(call, query, algorithm)}"
        return await self.fetch(f"/bigbluebutton/api/{call}?{query}{'&' if query else ''}{signature}", **options)

    async def call(self, call: str, options: dict[str, Any] | None = None, **parameters: Any) -> Answer:
        return await self.raw(call, urlencode(parameters, quote_via=quote), **(options or {}))

    def link(self, call: str, **parameters: Any) -> str:
        """Return a signed URL for a browser."""
        query = urlencode(parameters, quote_via=quote)
        return f"{self.base}/bigbluebutton/api/{call}?{query}&checksum={sign(call, query)}"

    async def create(self, meeting_id: str = "course-77", **parameters: Any) -> Answer:
        answer = await self.call("create", **{"name": "Algebra", "meetingID": meeting_id, **parameters})
        assert answer.ok, answer.text
        return answer

    async def control(self, method: str, path: str, **parameters: Any) -> Any:
        """Make a request to the control API; AssertionError if it is refused."""
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with self.session.request(
            method, f"{self.base}/simulator{path}", json=parameters, headers=headers
        ) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def add_users(self, count: int = 1, meeting_id: str = "course-77", **parameters: Any) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = (
            await self.control("POST", "/users", meetingID=meeting_id, count=count, **parameters)
        )["users"]
        return users

    async def attempts(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await self.control("GET", "/callbacks"))["attempts"]
        return found
