"""Whatever arrives: an answer of BBB's shape, HTTP 200, no traceback, no secret."""

import hashlib

import pytest
from defusedxml.ElementTree import fromstring
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.unit.web.conftest import SECRETS

CALLS = [
    "create", "join", "isMeetingRunning", "getMeetingInfo", "getMeetings", "end", "insertDocument", "sendChatMessage",
    "getRecordings", "publishRecordings", "updateRecordings", "deleteRecordings", "getRecordingTextTracks", "unknown",
    "hooks/create",
]  # fmt: skip
NAMES = [
    "meetingID",
    "recordID",
    "fullName",
    "name",
    "checksum",
    "checksum[]",
    "redirect",
    "errorRedirectUrl",
    "meta_a",
]
VALUES = ["", "%", "%zz", "%00", "%FF%FE", "%F0%9F%98%80", "<b>", "a,b,", "..%2F..", "x" * 3000, "[]", "%0d%0aX:%20y"]


def acceptable(answer: TestResponse) -> None:
    assert answer.status_code in (200, 302)
    assert "Traceback" not in answer.text
    for secret in SECRETS:
        assert secret not in answer.text
        assert secret not in str(answer.headers)
    if answer.mimetype == "text/xml" and answer.text:  # an answer to HEAD has no body
        root = fromstring(answer.text)
        assert root.findtext("returncode") in ("SUCCESS", "FAILED")
        assert (root.findtext("messageKey") or "") != "internalError" or "made a mistake" not in answer.text


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def ask(client: FlaskClient, call: str, query: str, method: str, body: bytes, label: str, signed: bool) -> TestResponse:
    raw = query.encode("utf-8", "surrogatepass").decode("latin-1")
    if signed:
        checksum = hashlib.sha256(call.encode() + raw.encode("latin-1") + SECRETS[0].encode()).hexdigest()
        raw += f"{'&' if raw else ''}checksum={checksum}"
    return client.open(
        f"/bigbluebutton/api/{call}",
        method=method,
        data=body,
        content_type=label,
        headers={"Accept": "text/html" if len(body) % 2 else "*/*"},
        environ_overrides={"QUERY_STRING": raw},
    )


pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20)), max_size=5)
queries = pairs.map(lambda found: "&".join(f"{name}={value}" for name, value in found)) | st.text(max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    call=st.sampled_from(CALLS),
    query=queries,
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    body=st.binary(max_size=200),
    label=st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data", "text/xml", "", "a/b; c=é"]),
    signed=st.booleans(),
)
def test_no_request_breaks_anything(
    client: FlaskClient, call: str, query: str, method: str, body: bytes, label: str, signed: bool
) -> None:
    acceptable(ask(client, call, query, method, body, label, signed))


@pytest.mark.parametrize("call", CALLS)
def test_hostile_values_of_every_parameter(client: FlaskClient, call: str) -> None:
    for value in VALUES:
        query = "&".join(f"{name}={value}" for name in NAMES if not name.startswith("checksum"))
        acceptable(ask(client, call, query, "GET", b"", "", signed=True))
        acceptable(ask(client, call, "", "POST", query.encode(), "application/x-www-form-urlencoded", signed=True))


def test_a_multipart_form_that_lies_about_itself_is_refused(client: FlaskClient) -> None:
    for body in (b"", b"--x\r\n", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", b"\xff" * 100):
        for label in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary="):
            acceptable(ask(client, "create", "", "POST", body, label, signed=True))
