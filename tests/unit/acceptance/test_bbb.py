"""How the suite reads BBB's answers in each of their forms."""

import json
from urllib.parse import quote

import pytest
import requests
from defusedxml import ElementTree

from acceptance.support.bbb import BBB, Answer, BBBError, tls_reason
from tests.unit.acceptance.http_response import response

API = BBB("https://bbb.example.org/bigbluebutton/api", "secret")
JOIN = f"{API.url}/join"


def failure(key: str) -> str:
    return f"<response><returncode>FAILED</returncode><messageKey>{key}</messageKey><message>no</message></response>"


def test_both_failure_shapes_have_a_key() -> None:
    """BBB reports a voice bridge in use as a list of errors without messageKey."""
    listed = (
        "<response><returncode>FAILED</returncode><errors><error><key>nonUniqueVoiceBridge</key>"
        "<message>in use</message></error></errors></response>"
    )
    answer = Answer("create", "bbb", ElementTree.fromstring(listed))
    assert (answer.ok, answer.key, answer.message) == (False, "nonUniqueVoiceBridge", "in use")


def test_a_failure_names_call_host_and_reason() -> None:
    """Its text can go into a report unchanged."""
    answer = API.parse("create", response(JOIN, text=failure("checksumError")))
    with pytest.raises(BBBError, match=r"create at bbb\.example\.org failed: checksumError: no"):
        answer.succeeded()


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [(502, "<html>", "HTTP 502"), (200, "<html><br>", "not XML"), (200, "<response><returncode>SUC", "not XML")],
)
def test_an_answer_that_is_not_bbbs_is_refused(status: int, text: str, words: str) -> None:
    """A web server's page and a truncated answer are not BBB's XML."""
    with pytest.raises(BBBError, match=words):
        API.parse("getMeetings", response(JOIN, status, text))


def test_a_refused_join_is_read_in_each_form() -> None:
    """XML, a redirect with errors, and a page for users."""
    errors = quote(json.dumps([{"key": "checksumError", "message": "Checksums do not match"}]))
    redirect = response(JOIN, 302, headers={"Location": f"https://lms.example.org/?errors={errors}"})
    assert API.refusal_of(redirect).key == "checksumError"
    assert API.refusal_of(response(JOIN, text=failure("checksumError"))).key == "checksumError"
    assert API.refusal_of(response(JOIN, text="<h1>Sorry</h1>", headers={"Content-Type": "text/html"})).form == "page"


@pytest.mark.parametrize(
    "accepted",
    [
        response(JOIN, 302, headers={"Location": "https://bbb1.example.org/bigbluebutton/api/join?checksum=1"}),
        response(JOIN, text="<response><returncode>SUCCESS</returncode></response>"),
    ],
)
def test_a_join_that_succeeds_is_not_a_refusal(accepted: requests.Response) -> None:
    with pytest.raises(BBBError, match="accepted instead of refused"):
        API.refusal_of(accepted)


def test_a_printed_client_does_not_show_its_secret() -> None:
    """Tracebacks print it."""
    assert "secret" not in repr(API).replace("secret=", "")


def test_a_refused_certificate_is_explained_with_the_verifiers_reason() -> None:
    """Without the text that the library adds around it."""
    text = (
        "HTTPSConnectionPool: (Caused by SSLError(SSLCertVerificationError(1, "
        "'[SSL: X] certificate verify failed: certificate has expired (_ssl.c:992)')))"
    )
    assert tls_reason(Exception(text)) == "certificate has expired"
