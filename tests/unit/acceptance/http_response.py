"""HTTP responses for the tests, as `requests` gives them."""

from __future__ import annotations

import io

import requests


def response(url: str, status: int = 200, text: str = "", headers: dict[str, str] | None = None) -> requests.Response:
    """A response with this body, not read yet."""
    made = requests.Response()
    made.url, made.status_code, made.raw = url, status, io.BytesIO(text.encode())
    made.headers.update(headers or {})
    return made
