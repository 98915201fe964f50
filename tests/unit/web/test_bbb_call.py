"""Who may call, in which ways a request may be written, and in what order it is judged."""

import dataclasses
import hashlib
import json
import resource
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Blueprint, Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from balancer.errors import RecordingChecksumError
from balancer.settings import Settings
from balancer.web.app import create_app
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.bodies import FORMS, Kind
from balancer.web.services import of
from tests.unit.web.conftest import SECRETS

API = "/bigbluebutton/api"
MODULES = b"<modules><module name='presentation'/></modules>"


def sign(call: str, query: str, secret: str = SECRETS[0], algorithm: str = "sha256") -> str:
    """Written out again, so that a mistake in ours is found."""
    return hashlib.new(algorithm, (call + query + secret).encode()).hexdigest()


@pytest.fixture
def seen() -> list[Call]:
    return []


@pytest.fixture
def client(app: Flask, seen: list[Call]) -> FlaskClient:
    blueprint = Blueprint("probe", __name__)

    def note(call: Call) -> Response:
        seen.append(call)
        return Response(call.parameters.encode() + b"|" + (call.body.open().read() if call.kind is Kind.XML else b""))

    bbb_call(blueprint, "probe", kinds=FORMS | {Kind.XML})(note)
    bbb_call(blueprint, "formsOnly")(note)
    bbb_call(blueprint, "getOnly", methods=("GET",), checksum_error=RecordingChecksumError)(note)
    app.register_blueprint(blueprint)
    return app.test_client()


def signed(call: str, query: str) -> str:
    return f"{API}/{call}?{query}{'&' if query else ''}checksum={sign(call, query)}"


def key(answer: TestResponse) -> str:
    assert answer.status_code == 200
    return answer.text.partition("<messageKey>")[2].partition("</messageKey>")[0]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_every_digest_and_every_secret_signs(
    client: FlaskClient, algorithm: str, secret: str, change: Callable[[str], str]
) -> None:
    answer = client.get(f"{API}/probe?a=1&checksum={change(sign('probe', 'a=1', secret, algorithm))}")
    assert answer.data == b"a=1|"


@pytest.mark.parametrize(
    ("query", "signed_text"),
    [
        ("checksum={}&a=1", "a=1"),
        ("a=1&checksum={}&b=2", "a=1&b=2"),
        ("&checksum={}", ""),
        ("checksum={}", ""),
        ("b=2&a=%c3%a8+x%20y&checksum={}", "b=2&a=%c3%a8+x%20y"),
        ("a=&a=&flag&x[y]=*'()!~&checksum={}", "a=&a=&flag&x[y]=*'()!~"),
    ],
    ids=["first", "in the middle", "alone after &", "alone", "lower-case escapes", "repeated, empty, brackets, marks"],
)
def test_the_raw_query_is_what_was_signed_and_what_is_passed_on(
    client: FlaskClient, query: str, signed_text: str
) -> None:
    answer = client.get(f"{API}/probe", query_string=query.format(sign("probe", signed_text)))
    assert answer.data == signed_text.encode() + b"|"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=1",
        "a=1&checksum=",
        "a=1&checksum=" + "0" * 64,
        "a=1&checksum=" + "0" * 63,
        "a=1&checksum=" + "é" * 64,
        "a=1&checksum[]=" + sign("probe", "a=1"),
        "a=1&CHECKSUM=" + sign("probe", "a=1"),
        f"a=1&checksum={sign('probe', 'a=1')}&checksum={sign('probe', 'a=1')}",
        f"a=1&check%73um=x&checksum={sign('probe', 'a=1&check%73um=x')}",
        f"a=1&checksum%00=x&checksum={sign('probe', 'a=1&checksum%00=x')}",
        f"a=2&checksum={sign('probe', 'a=1')}",
        f"a=1&checksum={sign('probes', 'a=1')}",
        f"a=1&checksum={sign('probe', 'a=1', 'the-secret-of-tomorrow')}",
        f"a=1&checksum={sign('probe', 'a=1', '')}",
    ],
)
def test_anything_but_one_right_checksum_is_refused(client: FlaskClient, seen: list[Call], query: str) -> None:
    assert key(client.get(f"{API}/probe", query_string=query)) == "checksumError"
    assert not seen


@pytest.mark.parametrize(
    ("checksums", "digests"),
    [([], []), (["0" * 40], ["sha1"]), (["0" * 64, "x"], ["sha256", "none"])],
)
def test_a_refused_call_leaves_what_helps_to_connect_a_front_end(
    client: FlaskClient, capsys: pytest.CaptureFixture[str], checksums: list[str], digests: list[str]
) -> None:
    query = "&".join(["a=1", *(f"checksum={each}" for each in checksums)])
    client.get(f"{API}/probe", query_string=query, headers={"X-Forwarded-For": "192.0.2.1"})
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["call"], line["address"], line["digests"]) == (
        "call refused",
        "probe",
        "192.0.2.1",
        digests,
    )
    assert not [each for each in checksums if each in json.dumps(line) and len(each) > 1]


def test_recording_calls_word_it_their_own_way(client: FlaskClient) -> None:
    assert "You did not pass the checksum security check" in client.get(f"{API}/getOnly").text
    assert "Checksums do not match" in client.get(f"{API}/probe").text


@pytest.mark.parametrize(
    "path",
    [
        "/bigbluebutton/api/probe",
        "/bigbluebutton/api/probe/",
        "/bigbluebutton/probe",
        "/api/probe",
        "/bigbluebutton/api/api/probe",
        "/bigbluebuttonapi/probe",
        "/bigbluebutton/apiprobe",
        "//bigbluebutton//api///probe",
    ],
)
def test_every_shape_of_the_path_works(client: FlaskClient, path: str) -> None:
    # The test client takes "//host" for an address of its own.
    answer = client.get("/", query_string=f"checksum={sign('probe', '')}", environ_overrides={"PATH_INFO": path})
    assert answer.data == b"|"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/unknown"),
        ("GET", f"{API}/hooks/list"),
        ("GET", f"{API}/Probe"),
        ("GET", "/"),
        ("GET", "/anything/else.php"),
        ("POST", f"{API}/getOnly"),
        ("PUT", f"{API}/probe"),
        ("OPTIONS", f"{API}/probe"),
        ("BREW", f"{API}/probe"),
    ],
)
def test_what_is_not_supported_is_said_in_xml(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    assert key(answer) == "unsupportedRequest"
    assert answer.content_type == "text/xml;charset=utf-8"


def test_a_form_may_carry_everything_even_the_checksum(client: FlaskClient) -> None:
    form = f"name=A+B&meetingID=x%5B0%5D&checksum={sign('probe', '')}"
    answer = client.post(f"{API}/probe", data=form, content_type="application/x-www-form-urlencoded; charset=UTF-8")
    assert answer.data == b"name=A+B&meetingID=x%5B0%5D|"


def test_a_form_beside_a_signed_query_is_taken_too(client: FlaskClient) -> None:
    answer = client.post(signed("probe", "a=1"), data={"b": "2"})
    assert answer.data == b"a=1&b=2|"


def test_a_failure_of_a_store_is_logged_with_its_call(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    assert key(app.test_client().get(signed("getMeetingInfo", "meetingID=course-1"))) == "internalError"
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["event"] == "call failed"]
    assert (line["call"], line["tenant"], line["meeting_id"]) == ("getMeetingInfo", "default", "course-1")
    assert line["reason"]


@pytest.mark.parametrize("query", ["", "a=1"])
def test_a_checksum_in_query_and_form_is_one_too_many(client: FlaskClient, seen: list[Call], query: str) -> None:
    answer = client.post(signed("probe", query), data={"b": "2", "checksum": sign("probe", query)})
    assert key(answer) == "checksumError"
    assert not seen


@pytest.mark.usefixtures("app")  # writes the registry
def test_a_tenant_s_digests_are_the_only_ones(settings: Settings) -> None:
    app = create_app(dataclasses.replace(settings, checksum_algorithms=("sha256", "sha512")))
    of(app).registry.read_file()
    for algorithm, expected in {"sha1": "checksumError", "sha384": "checksumError", "sha256": "internalError"}.items():
        query = f"meetingID=x&checksum={sign('getMeetingInfo', 'meetingID=x', algorithm=algorithm)}"
        # With the right digest it is asked for, in a database that is not there.
        assert key(app.test_client().get(f"{API}/getMeetingInfo?{query}")) == expected


def test_a_refusal_and_its_reason_are_one_line_of_the_log(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get(signed("probe", "meetingID=course-1&name=%zz&password=a-password"))
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {name: line[name] for name in ("event", "call", "tenant", "meeting_id", "key", "reason")} == {
        "event": "call refused",
        "call": "probe",
        "tenant": "default",
        "meeting_id": "course-1",
        "key": "validationError",
        "reason": "Param 'name' is not properly encoded",
    }
    assert "a-password" not in json.dumps(line)
    assert "checksum" not in json.dumps(line)


def test_a_form_signed_as_before_bbb_2_6_is_taken(client: FlaskClient) -> None:
    # Names are sorted, the values of one name are not.
    checksum = sign("probe", "meetingID=x%5B0%5D&name=A+B&name=A")
    form = f"name=A%20B&meetingID=x[0]&name=A&checksum={checksum}"
    answer = client.post(f"{API}/probe", data=form, content_type="application/x-www-form-urlencoded")
    assert answer.data == b"name=A%20B&meetingID=x[0]&name=A|"


def test_a_multipart_form_is_taken(client: FlaskClient) -> None:
    fields = {"name": "Ä", "checksum": sign("probe", "")}
    answer = client.post(f"{API}/probe", data=fields, content_type="multipart/form-data")
    assert answer.data == b"name=%C3%84|"


@pytest.mark.parametrize(
    "label",
    ["application/xml", "text/xml; charset=utf-8", "application/x-xml", "application/x-www-form-urlencoded", ""],
)
def test_xml_is_taken_whatever_a_client_calls_it(client: FlaskClient, label: str) -> None:
    answer = client.post(signed("probe", "a=1"), data=MODULES, content_type=label)
    assert answer.data == b"a=1|" + MODULES


@pytest.mark.parametrize(
    ("path", "body", "label"),
    [
        (signed("probe", "a=1"), b"{}", "application/json"),
        (signed("probe", "a=1"), b"a=1", ""),
        (signed("formsOnly", "a=1"), MODULES, "application/xml"),
    ],
)
def test_another_content_type_is_refused_once_the_checksum_is_right(
    client: FlaskClient, path: str, body: bytes, label: str
) -> None:
    assert key(client.post(path, data=body, content_type=label)) == "unsupportedContentType"
    assert key(client.post(path + "0", data=body, content_type=label)) == "checksumError"


@pytest.mark.parametrize("query", ["name=%", "name=%zz", "na%G0me=x", "name=a%00b", "meetingID=%u1234"])
def test_a_broken_encoding_is_named(client: FlaskClient, query: str) -> None:
    answer = client.get(signed("probe", query))
    assert key(answer) == "validationError"
    assert "is not properly encoded" in answer.text


def test_bytes_that_are_no_utf_8_are_passed_on_as_they_came(client: FlaskClient) -> None:
    assert client.get(signed("probe", "name=%E4%FF")).data == b"name=%E4%FF|"


def test_what_no_url_can_carry_is_encoded_on_the_way_out(client: FlaskClient) -> None:
    raw = "name=ä b"
    query = f"{raw}&checksum={sign('probe', raw)}".encode().decode("latin-1")
    answer = client.get(f"{API}/probe", environ_overrides={"QUERY_STRING": query})
    assert answer.data == f"name={quote('ä')}%20b|".encode()


@pytest.mark.parametrize(("size", "label"), [(2_000_001, "application/xml"), (1_000_001, None)])
def test_a_body_too_long_is_refused(client: FlaskClient, size: int, label: str | None) -> None:
    content: dict[str, Any] = {"data": b"<" * size, "content_type": label} if label else {"data": {"a": "x" * size}}
    assert key(client.post(signed("probe", "a=1"), **content)) == "validationError"


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kernel refuses what goes beyond 500 kB, as it does on a disk that is full."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_a_body_for_which_the_disk_has_no_room_is_refused(client: FlaskClient) -> None:
    """BBB's failure instead of a mistake of ours, and the next call is served."""
    answer = client.post(signed("probe", "a=1"), data=b"<" * 1_500_000, content_type="text/xml")
    assert answer.status_code == 200
    assert key(answer) == "internalError"
    assert b"no room for this request" in answer.data
    assert client.post(signed("probe", "a=1"), data=b"<x/>", content_type="text/xml").status_code == 200


MULTIPART = "multipart/form-data; boundary=b"


def multipart(size: int) -> bytes:
    """A form with a field, and a file of ``size`` bytes."""
    disposition = b"--b\r\nContent-Disposition: form-data; name="
    file = disposition + b'"slides"; filename="a.pdf"\r\n\r\n' + b"x" * size
    return disposition + b'"name"\r\n\r\nx\r\n' + file + b"\r\n--b--\r\n"


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(("size", "told"), [(1_500_000, "internalError"), (900_000, None)])
def test_a_multipart_form_for_which_the_disk_has_no_room_is_refused_or_needs_none(
    client: FlaskClient, size: int, told: str | None
) -> None:
    """A file in it is of no use to any call; up to the limit of forms it is held in memory."""
    answer = client.post(signed("probe", "a=1"), data=multipart(size), content_type=MULTIPART)
    assert answer.status_code == 200
    if told:
        assert key(answer) == told
        assert b"no room for this request" in answer.data
    else:
        assert answer.data == b"a=1&name=x|"


def test_a_multipart_form_is_no_longer_than_others(client: FlaskClient) -> None:
    answer = client.post(signed("probe", "a=1"), data=multipart(1_000_001), content_type=MULTIPART)
    assert key(answer) == "validationError"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (multipart(10)[:-20], MULTIPART),
        (multipart(10), "multipart/form-data"),
        (multipart(10), "multipart/form-data; boundary=another"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", MULTIPART),
    ],
    ids=["cut off", "no boundary", "another boundary", "no name"],
)
def test_a_multipart_form_that_cannot_be_read_is_refused(client: FlaskClient, body: bytes, content_type: str) -> None:
    """Nothing is done with half of what a front end said."""
    answer = client.post(signed("probe", "a=1"), data=body, content_type=content_type)
    assert (key(answer), answer.status_code) == ("validationError", 200)


def test_a_multipart_form_in_chunks_is_taken(client: FlaskClient) -> None:
    answer = client.post(
        signed("probe", "a=1"),
        input_stream=BytesIO(multipart(10)),
        content_type=MULTIPART,
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.data == b"a=1&name=x|"


def test_a_stranger_s_body_is_not_even_read(client: FlaskClient) -> None:
    answer = client.post(f"{API}/probe?a=1&checksum={'0' * 64}", data=b"<" * 3_000_000, content_type="text/xml")
    assert key(answer) == "checksumError"


@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_of_a_stranger_s_form_no_more_is_read_than_a_form_may_have(client: FlaskClient, label: str) -> None:
    sent = BytesIO(b"a" * 5_000_000)
    chunked = {"wsgi.input_terminated": True}
    answer = client.post(f"{API}/probe", input_stream=sent, content_type=label, environ_overrides=chunked)
    assert key(answer) == "validationError"
    assert "longer than 1000000" in answer.text


def test_nothing_known_of_any_tenant_is_a_failure_and_no_wrong_checksum(settings: Settings) -> None:
    app = create_app(settings)
    blueprint = Blueprint("probe", __name__)
    bbb_call(blueprint, "probe")(lambda call: Response("never"))
    app.register_blueprint(blueprint)
    assert key(app.test_client().get(signed("probe", ""))) == "internalError"
