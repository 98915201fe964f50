"""Front ends as they are: each writes, signs and labels its requests in a way of its own, and all of them work.

The ways are those of bigbluebutton-api-php, bigbluebutton-api-ruby, Moodle, JavaScript and .NET clients, by what goes
over the wire; a client of BBB's older releases signs a form as those did.
"""

import hashlib
import http.client
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
from werkzeug.test import TestResponse

from tests.integration.web.cluster import NODE_SECRET, SECRET, Answer, Cluster, read, sign

MEETING = "Raum 7 *'()!~ ü a+b [x] 50% & <b>"
NAME = "Analysis «II» <b>&amp;</b> 🎓 1+1=2"
SLIDES = '<?xml version="1.0"?>\r\n<modules>\n <module name="presentation"><!-- é 🎓 --></module>\n</modules>'.encode()
FORM = "application/x-www-form-urlencoded"


def rfc3986(text: str) -> str:
    return quote(text, safe="")


def javascript(text: str) -> str:
    return quote(text, safe="*'()!~")


def ruby(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def dot_net(text: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), quote_plus(text, safe="*()!"))


def unencoded_brackets(text: str) -> str:
    return quote(text, safe="[]*'()!~:/?@;,$")


@dataclass(frozen=True)
class FrontEnd:
    """How one writes its requests."""

    encode: Callable[[str], str] = rfc3986
    digest: str = "sha256"
    base: str = "/bigbluebutton/api/"
    with_checksum: str = "{query}&checksum={checksum}"  #: the position of the checksum
    is_sorted: bool = False
    is_upper: bool = False
    slides_label: str | None = None  #: Content-Type of the XML that create carries; None: no XML
    headers: dict[str, str] = field(default_factory=dict)

    def query(self, call: str, parameters: dict[str, str]) -> tuple[str, str]:
        """The query string signed and without its checksum."""
        pairs = sorted(parameters.items()) if self.is_sorted else list(parameters.items())
        query = "&".join(f"{self.encode(name)}={self.encode(value)}" for name, value in pairs)
        checksum = sign(call, query, algorithm=self.digest)
        checksum = checksum.upper() if self.is_upper else checksum
        return self.with_checksum.format(query=query, checksum=checksum), query

    def send(self, cluster: Cluster, call: str, body: bytes = b"", /, **parameters: str) -> TestResponse:
        # Through the environment, since the test client would write paths and queries in its own way.
        environ = {"PATH_INFO": f"{self.base}{call}", "QUERY_STRING": self.query(call, parameters)[0]}
        client, headers = cluster.app.test_client(), self.headers
        if not body:
            return client.get("/", environ_overrides=environ, headers=headers)
        return client.post("/", data=body, content_type=self.slides_label, environ_overrides=environ, headers=headers)

    def call(self, cluster: Cluster, call: str, body: bytes = b"", /, **parameters: str) -> Answer:
        return read(self.send(cluster, call, body, **parameters))


FRONT_ENDS = {
    "php": FrontEnd(lambda text: rfc3986(text).replace("%20", "+"), slides_label="application/xml"),
    "php, formatted": FrontEnd(base="/bigbluebutton/", slides_label="application/xml; charset=UTF-8"),
    "ruby": FrontEnd(ruby, "sha1", is_sorted=True, headers={"Accept-Encoding": "UTF-8"}),
    "moodle": FrontEnd(lambda text: quote_plus(text), "sha512", "/bigbluebuttonapi/", slides_label="text/xml"),
    "javascript": FrontEnd(javascript, "sha384", "/api/", headers={"Accept": "application/json, text/plain, */*"}),
    ".net": FrontEnd(dot_net, "sha1", is_upper=True, base="//bigbluebutton//api//"),
    "brackets": FrontEnd(unencoded_brackets, base="/bigbluebutton/api/api/"),
    "checksum first": FrontEnd(with_checksum="checksum={checksum}&{query}"),
    "labelled as a form": FrontEnd(slides_label=FORM),
    "no label": FrontEnd(slides_label=""),
}


@pytest.fixture(params=FRONT_ENDS)
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    return FRONT_ENDS[request.param]


def test_a_class_from_create_to_end(cluster: Cluster, front_end: FrontEnd) -> None:
    slides = SLIDES if front_end.slides_label is not None else b""
    given = {"name": NAME, "meetingID": MEETING, "record": "false", "welcome": "", "meta_bbb-origin": "x"}
    created = front_end.call(cluster, "create", slides, **given)
    assert (created.success, created["meetingID"]) == (True, MEETING)
    # No passwords were sent: a second create is the same meeting.
    assert front_end.call(cluster, "create", **given).key == "duplicateWarning"
    info = front_end.call(cluster, "getMeetingInfo", meetingID=MEETING)
    assert (info["meetingName"], info["metadata/bbb-origin"]) == (NAME, "x")
    assert front_end.call(cluster, "isMeetingRunning", meetingID=MEETING)["running"] == "false"
    assert front_end.call(cluster, "getMeetings")["meetings/meeting/meetingID"] == MEETING
    joined = _join(cluster, front_end)
    assert "<messageKey>successfullyJoined</messageKey>" in joined
    assert front_end.call(cluster, "getRecordings", meetingID=f"{MEETING},", state="any").success
    assert front_end.call(cluster, "end", meetingID=MEETING).key == "sentEndMeetingRequest"
    _arrived_whole(cluster, front_end, given, slides)


def _join(cluster: Cluster, front_end: FrontEnd) -> str:
    """What the node answers to a client that follows the redirect."""
    given = {"meetingID": MEETING, "fullName": NAME, "role": "VIEWER", "userdata-a": "[1]", "redirect": "false"}
    answer = front_end.send(cluster, "join", **given)
    assert answer.status_code == 302
    query = front_end.query("join", given)[1]
    assert urlsplit(answer.location).query == f"{query}&checksum={sign('join', query, NODE_SECRET)}"
    assert parse_qs(query)["fullName"] == [NAME]
    # As a browser follows it: byte for byte.
    target = urlsplit(answer.location)
    connection = http.client.HTTPConnection(target.netloc, timeout=10)
    with closing(connection):
        connection.request("GET", f"{target.path}?{target.query}")
        return connection.getresponse().read().decode()


def _arrived_whole(cluster: Cluster, front_end: FrontEnd, given: dict[str, str], slides: bytes) -> None:
    """The node got the very bytes, but for the signature."""
    first, second = cluster.requests(_asked(cluster), "create")
    for seen in (first, second):
        # Behind it stands what we add: web.test_callbacks.
        sent = seen.query.rpartition("&checksum=")[0].partition("&meetingEndedURL=")[0]
        assert sent == front_end.query("create", given)[1]
    assert first.method == ("POST" if slides else "GET")
    assert first.body_sha256 == hashlib.sha256(slides).hexdigest()


def _asked(cluster: Cluster) -> str:
    (name,) = [name for name in cluster.nodes if cluster.requests(name, "create")]
    return name


@pytest.mark.parametrize("signed", ["nothing", "sorted fields"])
def test_a_class_by_forms_alone(cluster: Cluster, signed: str) -> None:
    def post(call: str, **fields: str) -> Answer:
        text = "&".join(f"{name}={quote_plus(value, safe='*')}" for name, value in sorted(fields.items()))
        checksum = sign(call, "" if signed == "nothing" else text)
        return read(cluster.app.test_client().post(f"/bigbluebutton/api/{call}", data={**fields, "checksum": checksum}))

    assert post("create", name=NAME, meetingID="course 1*").success
    assert post("getMeetingInfo", meetingID="course 1*")["meetingName"] == NAME
    assert post("isMeetingRunning", meetingID="course 1*")["running"] == "false"
    assert post("getMeetings")["meetings/meeting/meetingName"] == NAME
    assert post("getRecordings", meetingID="course 1*").key == "noRecordings"
    assert post("updateRecordings", recordID="a-1", meta_a="b").key == "notFound"
    assert post("end", meetingID="course 1*").success


@pytest.mark.parametrize("query", ["&checksum={}", "checksum={}"])
def test_a_call_without_parameters_has_an_empty_query(cluster: Cluster, query: str) -> None:
    checksum = hashlib.sha1(f"getMeetings{SECRET}".encode()).hexdigest()
    answer = cluster.app.test_client().get("/bigbluebutton/api/getMeetings", query_string=query.format(checksum))
    assert read(answer).key == "noMeetings"


def test_a_head_request_creates_nothing(cluster: Cluster) -> None:
    query = FrontEnd().query("create", {"name": NAME, "meetingID": "course-1"})[0]
    answer = cluster.app.test_client().head("/bigbluebutton/api/create", query_string=query)
    assert (answer.status_code, answer.data) == (200, b"")
    assert cluster.rows("course-1") == []
