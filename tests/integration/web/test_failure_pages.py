"""What people see of a call that failed, in a real Chromium; and that front ends never see it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from acceptance.support.browser import accessibility_problems, chromium, open_page
from balancer.core.nodes import AdminState
from tests.integration.web.cluster import Cluster, path, read

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
#: Of java.net.HttpURLConnection.
JAVA = {"Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}


@pytest.fixture
def full(cluster: Cluster) -> Cluster:
    """No node takes a meeting."""
    for name in cluster.nodes:
        cluster.set_state(name, AdminState.DRAINING)
    return cluster


@pytest.fixture
def origin(full: Cluster) -> Iterator[str]:
    """Loopback counts as safe for a browser, as HTTPS does."""
    server = make_server("127.0.0.1", 0, full.app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_create_that_finds_no_node_says_why(full: Cluster) -> None:
    target = path("create", meetingID="course-1", logoutURL="https://lms.example.org/?a=1&b=2")
    answer = full.app.test_client().get(target, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for part in (
        "<title>The meeting could not be started</title>",
        "Could not find any available servers. (2 nodes draining)",
        "Code: internalError",
        'href="https://lms.example.org/?a=1&amp;b=2"',
    ):
        assert part in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_wrong_checksum_leads_nowhere(full: Cluster) -> None:
    target = path("create", meetingID="course-1", logoutURL="https://evil.example.org/", secret="a-wrong-secret")
    answer = full.app.test_client().get(target, headers=BROWSER)
    assert "Checksums do not match" in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        JAVA,
        {"Accept": BROWSER["Accept"]},
        {**BROWSER, "Sec-Fetch-Mode": "cors"},
        {"Accept": "*/*", "Sec-Fetch-Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_front_end_gets_xml(full: Cluster, headers: dict[str, str], method: str) -> None:
    answer = full.app.test_client().open(path("create", meetingID="course-1"), method=method, headers=headers)
    assert read(answer).key == "internalError"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("call", "title"),
    [("create", "The meeting could not be started"), ("join", "You could not join the meeting")],
)
def test_the_page_is_accessible(origin: str, tmp_path: Path, call: str, title: str) -> None:
    target = path(call, meetingID="course-1", fullName="Ann", logoutURL="https://lms.example.org/")
    with chromium(tmp_path, None) as browser, browser.page() as opened:
        assert open_page(opened, origin + target) == 200
        assert opened.locator("h1").inner_text() == title
        assert accessibility_problems(opened) == []
