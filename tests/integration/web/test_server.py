"""The app under gunicorn, as the unit starts it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from balancer.storage.postgresql.database import connect
from tests.integration.web.cluster import SECRET, path
from tests.integration.web.server import Server, serving


@pytest.fixture
def server(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(database_url, redis_url, tmp_path) as server:
        yield server


def test_it_is_alive_and_says_why_it_is_not_ready(server: Server) -> None:
    ready = requests.get(f"{server.origin}/readyz", timeout=10)
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "reasons": ["no node is registered"]}


def test_it_stays_ready_beside_what_a_newer_release_may_do_before_it_is_gone(server: Server, database_url: str) -> None:
    def reasons(migration: str) -> list[str]:
        with connect(database_url) as connection:
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [migration])
        found: list[str] = requests.get(f"{server.origin}/readyz", timeout=10).json()["reasons"]
        return found

    assert reasons("9998_pre_future") == ["no node is registered"]
    assert "newer release: 9999_post_future" in " ".join(reasons("9999_post_future"))


def test_a_request_line_of_64_kb_is_taken_and_a_longer_one_gets_a_short_414(server: Server) -> None:
    def line(length: int) -> bytes:
        start, end = b"GET /bigbluebutton/api/getMeetings?a=", b" HTTP/1.1"
        return start + b"x" * (length - len(start) - len(end)) + end + b"\r\nHost: x\r\nConnection: close\r\n\r\n"

    assert b"200 OK" in server.raw(line(65_530))
    refused = server.raw(line(70_000))
    assert refused.startswith(b"HTTP/1.1 414 ")
    assert len(refused) < 1000


def test_raw_bytes_reach_the_checksum_as_they_were_sent(server: Server) -> None:
    target = path("getMeetings", "x[y]=%c3%a9&z=*'()!~é🎓&&")
    answer = server.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert b"200 OK" in answer
    assert b"checksumError" not in answer


def test_a_client_that_waits_for_100_continue_is_answered(server: Server) -> None:
    target = path("create", meetingID="course-1", name="A")
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: text/xml\r\n"
    assert server.raw(f"{head}Content-Length: 9\r\n\r\n".encode()).startswith(b"HTTP/1.1 100 Continue")


def test_a_chunked_body_is_taken(server: Server) -> None:
    target = f"{server.origin}{path('insertDocument', meetingID='course-1')}"
    answer = requests.post(target, data=iter([b"<mod", b"ules/>"]), headers={"Content-Type": "text/xml"}, timeout=10)
    assert "<messageKey>notFound</messageKey>" in answer.text
    empty = requests.post(target, data=iter([]), headers={"Content-Type": "text/xml"}, timeout=10)
    assert "The request has no document" in empty.text


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 100", "<modules/>"),
        ("Transfer-Encoding: chunked", "zz\r\n<modules/>\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "a\r\n<modules/>0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "a\r\n<modules/>\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "a\r\n<modules/>\r\n"),
        ("Transfer-Encoding: chunked", "14\r\n<modules/>"),
    ],
)
def test_a_body_that_is_cut_short_or_broken_is_none(server: Server, framing: str, body: str) -> None:
    target = path("create", meetingID="course-1", name="A")
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n{framing}\r\n\r\n"
    answer = server.exchange(f"{head}{body}".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"<messageKey>validationError</messageKey>" in answer
    assert b"The request body" in answer
    assert "Traceback" not in server.log.read_text()


def test_the_log_is_json_and_holds_no_secret(server: Server) -> None:
    requests.get(f"{server.origin}{path('create', meetingID='course-1', name='A')}", timeout=10)
    text = server.log.read_text()
    decision = next(json.loads(line) for line in text.splitlines() if "no node for a meeting" in line)
    assert decision["meeting_id"] == "course-1"
    assert SECRET not in text
    assert "checksum=" not in text


def test_what_gunicorn_refuses_leaves_no_secret_in_its_log(server: Server) -> None:
    query = "fullName=\x01&password=the-moderators&checksum=0123456789abcdef"
    answer = server.raw(f"GET /bigbluebutton/api/join?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    text = server.log.read_text()
    assert "Invalid request from ip=" in text
    assert "the-moderators" not in text
    assert "0123456789abcdef" not in text


def test_it_starts_and_says_so_without_any_store(tmp_path: Path) -> None:
    with serving("postgresql:///x?host=/nowhere", "unix:///nowhere.sock", tmp_path) as server:
        ready = requests.get(f"{server.origin}/readyz", timeout=20)
        assert ready.status_code == 503
        assert any("PostgreSQL" in reason for reason in ready.json()["reasons"])
        assert any("Redis" in reason for reason in ready.json()["reasons"])
        answer = requests.get(f"{server.origin}{path('getMeetings')}", timeout=20)
        assert "<messageKey>internalError</messageKey>" in answer.text
