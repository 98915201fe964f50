"""A BBB API client that calls as a front end does and lets the caller inspect every answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError

import requests
from defusedxml import ElementTree

from acceptance.support.checksum import checksum

#: Time limit of one call (seconds). It is short because a call that takes longer is a failure in itself.
TIMEOUT = 15.0

Parameters = dict[str, str]


class BBBError(AssertionError):
    """A call failed; the text names the call, the host and the answer."""


class TlsError(BBBError):
    """The server's certificate was refused; the text says why."""


@dataclass(frozen=True)
class Answer:
    """BBB's XML answer to one call on one host."""

    call: str
    host: str
    root: Element

    @property
    def ok(self) -> bool:
        """True for returncode SUCCESS."""
        return self.text("returncode") == "SUCCESS"

    @property
    def key(self) -> str:
        """messageKey, or the key of BBB's second failure shape (`<errors><error>`); may be empty."""
        return self.text("messageKey") or self.text("errors/error/key")

    @property
    def message(self) -> str:
        """BBB's text for users; may be empty."""
        return self.text("message") or self.text("errors/error/message")

    def text(self, path: str) -> str:
        """Stripped text at a path below <response>; empty if there is none."""
        return (self.root.findtext(path) or "").strip()

    def all(self, path: str) -> list[Element]:
        """Every element at a path below <response>."""
        return self.root.findall(path)

    def succeeded(self) -> Answer:
        """Itself if SUCCESS; BBBError with key and message otherwise."""
        if not self.ok:
            raise BBBError(f"{self.call} at {self.host} failed: {self.key}: {self.message}")
        return self


@dataclass(frozen=True)
class Refusal:
    """How a call was refused. `form` is `xml`, `redirect` (with `errors=`) or `page` (for users)."""

    key: str
    message: str
    form: str


@dataclass
class BBB:
    """One endpoint with one secret. `verify` is the parameter of `requests`; certificates are always verified."""

    url: str
    secret: str = field(repr=False)
    algorithm: str = "sha256"
    verify: str | bool = True
    timeout: float = TIMEOUT
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    @property
    def host(self) -> str:
        """Host name of the endpoint."""
        return urlsplit(self.url).hostname or self.url

    def signed(self, call: str, parameters: Parameters) -> str:
        """The URL of a call, signed; this is also a join link."""
        query = urlencode(parameters)
        signature = checksum(call, query, self.secret, self.algorithm)
        return f"{self.url}/{call}?{query}{'&' if query else ''}checksum={signature}"

    def call(self, call: str, **parameters: str) -> Answer:
        """GETs a call and returns its XML answer, success or failure; BBBError if there is no XML answer."""
        return self.parse(call, self.get(self.signed(call, parameters)))

    def get(self, url: str, **options: Any) -> requests.Response:
        """GETs any URL, trusting this endpoint's CA. Network errors become a BBBError with a readable text."""
        host = urlsplit(url).hostname or url
        options.setdefault("timeout", self.timeout)
        try:
            return self.session.get(url, verify=self.verify, **options)
        except requests.exceptions.SSLError as error:
            raise TlsError(f"{host}: the certificate is refused: {tls_reason(error)}") from error
        except requests.exceptions.Timeout as error:
            raise BBBError(f"{host}: no answer within {options['timeout']:g} s ({_path(url)})") from error
        except requests.exceptions.ConnectionError as error:
            raise BBBError(f"{host}: cannot be reached ({_path(url)}): {_innermost(error)}") from error

    def parse(self, call: str, response: requests.Response) -> Answer:
        """BBB's XML from a response; BBBError if it is anything else."""
        host = urlsplit(response.url).hostname or self.host
        if response.status_code != 200:
            raise BBBError(f"{call} at {host}: HTTP {response.status_code} instead of an answer in BBB's XML")
        try:
            root = ElementTree.fromstring(response.content)
        except ParseError as error:
            raise BBBError(f"{call} at {host}: the answer is not XML ({error}): {response.text[:80]!r}") from error
        return Answer(call, host, root)

    def join_target(self, **parameters: str) -> str:
        """The node's join URL to which a join is redirected, without following it; BBBError if refused."""
        response = self.get(self.signed("join", parameters), allow_redirects=False)
        if response.is_redirect and "errors" not in parse_qs(urlsplit(response.headers["Location"]).query):
            return str(response.headers["Location"])
        refusal = self.refusal_of(response)
        raise BBBError(f"join at {self.host} is refused: {refusal.key}: {refusal.message}")

    def refusal_of(self, response: requests.Response) -> Refusal:
        """Reads a refused join in any of BBB's forms; BBBError if the join was accepted."""
        if response.is_redirect:
            errors = parse_qs(urlsplit(response.headers["Location"]).query).get("errors")
            if not errors:
                raise BBBError(f"join at {self.host} was accepted instead of refused")
            first = json.loads(errors[0])[0]
            return Refusal(str(first["key"]), str(first["message"]), "redirect")
        if "html" in response.headers.get("Content-Type", ""):
            return Refusal("", response.text, "page")
        answer = self.parse("join", response)
        if answer.ok:
            raise BBBError(f"join at {self.host} was accepted instead of refused")
        return Refusal(answer.key, answer.message, "xml")


def tls_reason(error: BaseException) -> str:
    """The verifier's reason, such as "certificate has expired"; otherwise the end of the text."""
    text = str(error)
    if "certificate verify failed: " in text:
        return text.split("certificate verify failed: ", 1)[1].split(" (_ssl", 1)[0]
    return text.split("(Caused by ", 1)[-1][:200]


def _innermost(error: BaseException) -> str:
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return str(reason).rsplit(": ", 1)[-1][:200]


def _path(url: str) -> str:
    return urlsplit(url).path.rsplit("/", 1)[-1] or "/"
