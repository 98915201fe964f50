"""How the suite reads BBB's answers, in each of the forms that BBB gives them."""

import json
from urllib.parse import quote

import pytest
import requests
from defusedxml import ElementTree

from acceptance.support.bbb import BBB, Answer, BBBError, tls_reason

API = BBB("https://bbb.example.org/bigbluebutton/api", "secret")


def response(status: int, text: str = "", content_type: str = "text/xml", location: str = "") -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = text.encode()
    made.url = "https://bbb.example.org/bigbluebutton/api/join"
    made.headers["Content-Type"] = content_type
    if location:
        made.headers["Location"] = location
    return made


def failure(key: str) -> str:
    return f"<response><returncode>FAILED</returncode><messageKey>{key}</messageKey><message>no</message></response>"


def test_both_failure_shapes_have_a_key() -> None:
    """A voice bridge in use comes as a list of errors without messageKey."""
    listed = (
        "<response><returncode>FAILED</returncode><errors><error><key>nonUniqueVoiceBridge</key>"
        "<message>in use</message></error></errors></response>"
    )
    answer = Answer("create", "bbb", ElementTree.fromstring(listed))
    assert (answer.ok, answer.key, answer.message) == (False, "nonUniqueVoiceBridge", "in use")


def test_a_failure_names_call_host_and_reason() -> None:
    """The text can stand in a report as it is."""
    answer = API.parse("create", response(200, failure("checksumError")))
    with pytest.raises(BBBError, match=r"create at bbb\.example\.org failed: checksumError: no"):
        answer.succeeded()


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [(502, "<html>", "HTTP 502"), (200, "<html><br>", "not XML"), (200, "<response><returncode>SUC", "not XML")],
)
def test_what_is_no_answer_of_bbb_is_told(status: int, text: str, words: str) -> None:
    """A web server's page and a cut answer are no XML."""
    with pytest.raises(BBBError, match=words):
        API.parse("getMeetings", response(status, text))


def test_a_refused_join_is_read_in_each_form() -> None:
    """XML, a redirect with errors, and a page for people."""
    errors = quote(json.dumps([{"key": "checksumError", "message": "Checksums do not match"}]))
    redirect = response(302, location=f"https://lms.example.org/?errors={errors}")
    assert API.refusal_of(redirect).key == "checksumError"
    assert API.refusal_of(response(200, failure("checksumError"))).key == "checksumError"
    assert API.refusal_of(response(200, "<h1>Sorry</h1>", "text/html")).form == "page"


@pytest.mark.parametrize(
    "let_in",
    [
        response(302, location="https://bbb1.example.org/bigbluebutton/api/join?checksum=1"),
        response(200, "<response><returncode>SUCCESS</returncode></response>"),
    ],
)
def test_a_join_that_succeeds_is_no_refusal(let_in: requests.Response) -> None:
    """Whoever gets in was not refused."""
    with pytest.raises(BBBError, match="let in instead of refused"):
        API.refusal_of(let_in)


def test_a_secret_is_no_part_of_what_is_printed() -> None:
    """A client in a traceback does not give its secret away."""
    assert "secret" not in repr(API).replace("secret=", "")


def test_a_refused_certificate_is_told_in_the_verifiers_words() -> None:
    """The library's frame around the reason is left out."""
    text = (
        "HTTPSConnectionPool: (Caused by SSLError(SSLCertVerificationError(1, "
        "'[SSL: X] certificate verify failed: certificate has expired (_ssl.c:992)')))"
    )
    assert tls_reason(Exception(text)) == "certificate has expired"
