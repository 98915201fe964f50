"""Hostile requests for every route of an app, and the checks that every answer must pass."""

import hashlib
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from defusedxml.ElementTree import fromstring
from flask import Flask
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

API = "/bigbluebutton/api"
#: A meeting and a recording that tests of a whole balancer create beforehand.
MEETING_ID, RECORD_ID = "hostile", f"{'a' * 40}-1757000000123"
_NAMES = [
    *("meetingID", "recordID", "fullName", "name", "role", "password", "attendeePW", "moderatorPW", "createTime"),
    *("redirect", "errorRedirectUrl", "logoutURL", "publish", "state", "offset", "limit", "message", "userName"),
    *("meta_a", "meta_", "meta_%00", "meta_%3C", "meta_server-tag", "check%73um", "checksum[]", "%63hecksum", "="),
]
_VALUES = [
    *("", "%", "%z", "%zz", "%00", "a%00b", "%FF%FE", "%ED%A0%80", "%C0%AF", "%F0%9F%98%80", "<b>&amp;", "a,b,", ",,"),
    *("..%2F..", "x" * 3000, "[]", "%0d%0aX:%20y", "-1", "0", "99999999999999999999", "1e9", "NaN", "true", "false"),
    *("https://example.org/?a=1#b", "javascript:alert(1)", "http://[", "https://%00", MEETING_ID, RECORD_ID, "+%20"),
    "\x80",
]
_LABELS = [
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "text/xml"),
    *("application/xml; charset=utf-16", "application/json", "", ";", "a/b; c=\xe9", "multipart/form-data; boundary="),
]
_LENGTHS = ["", "0", "-1", "abc", "5", "1e3", "999999999999999999999", "\xb2", " 7"]
_ACCEPTS = ["", "*/*", "text/html", "application/json;q=", "\xff", "text/html;q=0"]


@dataclass(frozen=True)
class Hostile:
    """One request. Text contains bytes, each as one character (PEP 3333)."""

    method: str
    path: str
    query: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: The Content-Length header; None: the body's length, or chunked.
    announced: str | None = None
    chunked: bool = False
    cut: int = 0  #: bytes at the body's end that are not sent over a connection

    @property
    def is_call(self) -> bool:
        """Whether this is a BBB call."""
        return self.path == API or self.path.startswith(f"{API}/")

    def environ(self) -> dict[str, object]:
        """The request as a WSGI server without any checks passes it on."""
        length = str(len(self.body)) if self.announced is None else self.announced
        environ: dict[str, object] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
        }
        environ |= {"wsgi.input_terminated": True} if self.chunked else {"CONTENT_LENGTH": length}
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        return environ

    def encoded(self) -> bytes:
        """The request as sent over a connection that is closed afterwards."""
        target = self.path + (f"?{self.query}" if self.query else "")
        lines = [f"{self.method} {_sendable(target)} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        body = self.body
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif self.announced is not None or body:
            lines.append(f"Content-Length: {len(body) if self.announced is None else self.announced}")
        sent = body[: max(0, len(body) - self.cut)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + sent

    @staticmethod
    def parse_answer(answer: bytes) -> "HostileAnswer":
        """Parse the answer that was received over the connection."""
        while answer.startswith(b"HTTP/1.1 100 "):
            answer = answer.partition(b"\r\n\r\n")[2]
        head, _, body = answer.partition(b"\r\n\r\n")
        return HostileAnswer(int(head.split()[1]), head.decode("latin-1"), body)


@dataclass(frozen=True)
class HostileAnswer:
    """The answer to a hostile request."""

    status: int
    headers: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def ask(app: Flask, hostile: Hostile) -> HostileAnswer:
    """The app's answer, without a server in between."""
    body, status, headers = run_wsgi_app(app.wsgi_app, hostile.environ())
    return HostileAnswer(int(status.split()[0]), str(headers), b"".join(body))


def check(hostile: Hostile, answer: HostileAnswer, secrets: Sequence[str], refusals: Collection[int] = ()) -> None:
    """Raise AssertionError if a stranger must not get this answer.

    refusals: statuses with which the server itself refuses invalid HTTP; they need not look like a call's answer.
    """
    seen = answer.headers + answer.text
    assert "Traceback" not in seen, seen
    assert "had an internal error" not in seen, seen
    for secret in secrets:
        assert secret not in seen
    if answer.status in refusals:
        return
    if not hostile.is_call:
        assert answer.status < 500, seen
        return
    assert answer.status in (200, 302), seen
    if hostile.method == "HEAD" or answer.status == 302:
        return
    if "text/xml" in answer.headers:
        assert fromstring(answer.body).findtext("returncode") in ("SUCCESS", "FAILED"), seen


def requests_to(app: Flask, secret: str) -> st.SearchStrategy[Hostile]:
    """Requests to the app's routes, and to some that do not exist."""
    routed = sorted({rule.rule for rule in app.url_map.iter_rules()})
    methods = sorted({method for rule in app.url_map.iter_rules() for method in rule.methods or ()} | {"PUT", "TRACE"})
    return st.builds(
        _hostile,
        method=st.sampled_from([*methods, "GET", "POST"]),
        path=st.sampled_from([*routed, *_calls(routed)]) | _paths(),
        query=_queries(),
        secret=st.sampled_from([secret, secret, ""]),
        twice=st.sampled_from([False, False, False, True]),
        body=_bodies(),
        label=st.sampled_from(_LABELS),
        accept=st.sampled_from(_ACCEPTS),
        announced=st.sampled_from([None, None, None, *_LENGTHS]),
        chunked=st.booleans(),
        cut=st.sampled_from([0, 0, 0, 1, 2, 5, 9]),
        original=_queries(),
        expects=st.booleans(),
    )


def every_route(app: Flask, secret: str) -> Iterator[Hostile]:
    """Signed requests with each hostile value in the parameters of each route: query, form, multipart and cut form.

    Query and multipart form contain existing ids, so that the other parameters are processed too.
    """
    known = {"meetingID": MEETING_ID, "recordID": RECORD_ID, "publish": "true"}
    plain = [name for name in _NAMES if "%" not in name and "checksum" not in name and name != "="]
    # In reverse order, so that nothing is deleted before it is edited, or ended before it is queried.
    for rule in sorted({rule.rule for rule in app.url_map.iter_rules()}, reverse=True):
        yield _hostile("POST", rule, "", secret, body=b"a=1", label=_LABELS[0], announced="7")
        for value in _VALUES:
            fields = [(name, known.get(name, value)) for name in plain]
            yield _hostile("GET", rule, _joined(fields), secret)
            everywhere = _joined([(name, value) for name in plain])
            yield _hostile("POST", rule, "", secret, body=everywhere.encode(), label=_LABELS[0])
            fields += [("meta_\0", value), ("meta_\ud800", value), ("\0", value), ("meta_b", f"\0{value}\1")]
            yield _hostile("POST", rule, "", secret, body=_multipart(fields))


def _hostile(
    method: str,
    path: str,
    query: str,
    secret: str,
    twice: bool = False,
    body: bytes = b"",
    label: str = "multipart/form-data; boundary=x",
    accept: str = "",
    announced: str | None = None,
    chunked: bool = False,
    cut: int = 0,
    original: str = "",
    expects: bool = False,
) -> Hostile:
    if secret:
        call = path.strip("/").rpartition("api/")[2]
        checksum = hashlib.sha256(call.encode("latin-1") + query.encode("latin-1") + secret.encode()).hexdigest()
        query += "&" * bool(query) + "&".join([f"checksum={checksum}"] * (1 + twice))
    headers = {name: value for name, value in (("Content-Type", label), ("Accept", accept)) if value}
    headers["X-Original-URI"] = "".join(each for each in original if each.isprintable())
    if expects:
        headers["Expect"] = "100-continue"
    return Hostile(method, path, query, body, headers, announced, chunked, cut)


def _calls(routed: Sequence[str]) -> Iterator[str]:
    """The same calls with other forms of their paths, and some unknown ones."""
    for path in routed:
        name = path.removeprefix(API)
        yield from (
            f"/api{name}",
            f"//bigbluebutton//api{name}/",
            f"{path}/x",
            path.upper(),
            f"{path}\x00",
            f"{path}%2e",
        )
    yield from (f"{API}/hooks/create", f"{API}/unknown", "/internal/nothing", "/")


def _paths() -> st.SearchStrategy[str]:
    return st.binary(max_size=40).map(lambda octets: "/" + octets.decode("latin-1"))


def _queries() -> st.SearchStrategy[str]:
    values = st.sampled_from(_VALUES) | st.text(max_size=20).map(_octets)
    pairs = st.lists(st.tuples(st.sampled_from(_NAMES), values), max_size=6)
    return pairs.map(_joined) | st.binary(max_size=60).map(lambda octets: octets.decode("latin-1"))


def _bodies() -> st.SearchStrategy[bytes]:
    fields = st.lists(st.tuples(st.sampled_from(_NAMES) | st.text(max_size=5), st.text(max_size=20)), max_size=4)
    xml = st.sampled_from([b"<modules/>", b"<", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
    return (
        st.binary(max_size=200)
        | _queries().map(lambda query: query.encode("latin-1"))
        | fields.map(_multipart)
        | xml
        | st.just(b"a=" + b"x" * 1_100_000)
    )


def _joined(fields: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in fields)


def _multipart(fields: Sequence[tuple[str, str]]) -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return "".join([*parts, "--x--\r\n"]).encode("utf-8", "surrogatepass")


def _octets(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _sendable(target: str) -> str:
    """The target without characters that would end the request line, because gunicorn's parser is not tested here."""
    return target.translate({ord(character): None for character in "\r\n "})
