"""The requests that a node received, byte for byte, and how many calls ran at once."""

import hashlib
import time
from collections import Counter, deque
from dataclasses import dataclass

_NOTHING = hashlib.sha256(b"").hexdigest()
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class LoggedRequest:
    """One request as it arrived; `query` is None if the target had no question mark."""

    number: int
    at: float
    call: str
    method: str
    path: str
    query: str | None
    headers: Headers
    body_bytes: int = 0
    body_sha256: str = _NOTHING

    def note_body(self, body: bytes) -> None:
        """Keep a body's length and hash only, because the body may be huge."""
        self.body_bytes, self.body_sha256 = len(body), hashlib.sha256(body).hexdigest()

    def as_json(self) -> dict[str, object]:
        """Return the entry as a JSON object."""
        return {
            "number": self.number,
            "at": self.at,
            "call": self.call,
            "method": self.method,
            "path": self.path,
            "raw_query": self.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body_bytes": self.body_bytes,
            "body_sha256": self.body_sha256,
        }


class RequestLog:
    """The latest requests, with counts by call."""

    def __init__(self, length: int) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=length)
        self._number = 0
        self.totals: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()

    def arrive(self, call: str, method: str, raw_path: str, headers: Headers) -> LoggedRequest:
        """Log a request before its body is read."""
        path, mark, query = raw_path.partition("?")
        self._number += 1
        request = LoggedRequest(self._number, time.time(), call, method, path, query if mark else None, headers)
        self._requests.append(request)
        self.totals[call] += 1
        self.running[call] += 1
        self.most_at_once[call] = max(self.most_at_once[call], self.running[call])
        return request

    def leave(self, call: str) -> None:
        """Count a call as finished, whether it succeeded or not."""
        self.running[call] -= 1

    def requests(self, call: str | None = None, after: int = 0) -> list[LoggedRequest]:
        """Return the stored requests with numbers above `after`, of one call or all, oldest first."""
        # A copy in one step, because tests read this from another thread than the one that the server runs in.
        requests = list(self._requests)
        return [request for request in requests if request.number > after and call in (None, request.call)]

    def clear(self) -> None:
        """Remove requests and counts; numbering continues, and running calls stay counted."""
        self._requests.clear()
        self.totals.clear()
        self.most_at_once.clear()
