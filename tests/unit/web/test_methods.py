"""Which calls there are, by which methods, and how a failure is reported: as in BBB 3.0's UrlMappings."""

import hashlib
import json

import pytest
from defusedxml.ElementTree import fromstring
from flask import Flask
from werkzeug.test import TestResponse

from tests.unit.web.conftest import SECRETS

API = "/bigbluebutton/api"
CALLS = {
    "create": {"GET", "POST"},
    "join": {"GET"},
    "isMeetingRunning": {"GET", "POST"},
    "getMeetingInfo": {"GET", "POST"},
    "getMeetings": {"GET", "POST"},
    "end": {"GET", "POST"},
    "insertDocument": {"POST"},
    "sendChatMessage": {"GET"},
    "getRecordings": {"GET", "POST"},
    "publishRecordings": {"GET"},
    "updateRecordings": {"GET", "POST"},
    "deleteRecordings": {"GET"},
    "getRecordingTextTracks": {"GET", "POST"},
}
NO_CALLS = [
    "hooks/create", "hooks/list", "hooks/destroy", "hooks/ping", "putRecordingTextTrack", "getSessions", "enter",
    "signOut", "stuns", "getJoinUrl", "learningDashboard", "feedback", "guestWait", "setConfigXML", "createmeeting",
]  # fmt: skip
METHODS = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
UNSUPPORTED = (
    "<response><returncode>FAILED</returncode><messageKey>unsupportedRequest</messageKey>"
    "<message>This request is not supported.</message></response>"
)


def ask(app: Flask, method: str, call: str, *, signed: bool = True, accept: str = "*/*") -> TestResponse:
    query = "meetingID=course-1&fullName=Ann&recordID=a-1&publish=true"
    checksum = hashlib.sha256(f"{call}{query}{SECRETS[0] if signed else ''}".encode()).hexdigest()
    target = f"{API}/{call}?{query}&checksum={checksum}"
    return app.test_client().open(target, method=method, headers={"Accept": accept})


def unsupported(answer: TestResponse) -> bool:
    """An answer to HEAD has the length of what it leaves out."""
    assert answer.status_code == 200
    assert answer.content_type == "text/xml;charset=utf-8"
    return answer.text in (UNSUPPORTED, "") and answer.content_length == len(UNSUPPORTED)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_taken_by_bbb_s_methods_and_by_no_other(app: Flask, call: str) -> None:
    refused = {method for method in METHODS if unsupported(ask(app, method, call, signed=False))}
    assert refused == set(METHODS) - CALLS[call]


@pytest.mark.parametrize("call", NO_CALLS)
def test_a_missing_call_is_reported_before_the_checksum(app: Flask, call: str) -> None:
    for method in METHODS:
        assert unsupported(ask(app, method, call, signed=False))
        assert unsupported(ask(app, method, call))


def test_what_is_not_there_is_logged_without_what_was_sent(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    ask(app, "GET", "hooks/create")
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {key: line[key] for key in ("event", "key", "method", "path")}
    assert told == {
        "event": "call refused",
        "key": "unsupportedRequest",
        "method": "GET",
        "path": f"{API}/hooks/create",
    }
    assert "course-1" not in str(line)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain, */*", "text/xml", ""])
@pytest.mark.parametrize("call", CALLS)
def test_a_failure_is_xml_whatever_is_accepted(app: Flask, call: str, accept: str) -> None:
    method = "GET" if "GET" in CALLS[call] else "POST"
    answer = ask(app, method, call, signed=False, accept=accept)
    assert answer.content_type == "text/xml;charset=utf-8"
    root = fromstring(answer.text)
    assert [element.tag for element in root] == ["returncode", "messageKey", "message"]
    assert root.findtext("messageKey") == "checksumError"
