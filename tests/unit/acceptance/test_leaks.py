"""Secrets are found wherever they stand, and are not repeated by whoever tells of them."""

from pathlib import Path
from typing import Any

import pytest
import requests

from acceptance.support import leaks
from acceptance.support.bbb import BBB
from acceptance.support.environment import Environment, Node
from acceptance.support.leaks import Page, found
from acceptance.support.meetings import Meeting

SECRETS = {"the front end's secret": "s3cret/+", "the secret of bbb1": "other"}


@pytest.mark.parametrize("text", ["<p>s3cret/+</p>", "X-Debug: s3cret/+", "/join?key=s3cret%2F%2B"])
def test_a_secret_is_found_plain_and_percent_encoded(text: str) -> None:
    """The finding names whose secret it is and where, and does not hold it."""
    findings = found(SECRETS, [Page("a page", "nothing"), Page("the start page", text)])
    assert findings == ["the front end's secret stands in the start page"]


def test_nothing_is_found_where_nothing_is() -> None:
    """A checksum is no secret."""
    assert found(SECRETS, [Page("a page", "checksum=0123456789abcdef")]) == []


class Leaking(BBB):
    """Its answer to one call shows the secret of a node, in a header; all others are clean."""

    leak = ""

    def get(self, url: str, **options: Any) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code, response._content = url, 200, b"<response/>"
        if self.leak in url.split("?")[0]:
            response.headers["Location"] = "https://bbb1.test/join?secret=other"
        return response


@pytest.mark.parametrize(
    ("leak", "place"),
    [
        ("/join", "a join at bbb.test"),
        ("/create", "a repeated create at bbb.test"),
        ("/getMeetings", "the list of meetings at bbb.test"),
        ("/getMeetingInfo", "a getMeetingInfo at bbb.test"),
        ("/noSuchCall", "an unknown call at bbb.test"),
    ],
)
def test_answers_of_every_kind_are_looked_through(leak: str, place: str) -> None:
    """Successes too: a redirect to a node is where one of its secrets would most easily slip out."""
    api = Leaking("https://bbb.test/bigbluebutton/api", "s3cret/+")
    api.leak = leak
    meeting = Meeting("m", "i", "1", "mp", "ap", {"meetingID": "m", "name": "m"})
    findings = found(SECRETS, leaks.pages(api, environment(), meeting))
    assert any(line.startswith(f"the secret of bbb1 stands in {place}") for line in findings), findings


def environment() -> Environment:
    node = Node("bbb1", "https://bbb1.test/bigbluebutton/api", "other", "bbb1", "bbb1.test")
    return Environment(
        path=Path("test.yml"),
        name="test",
        url="https://bbb.test/bigbluebutton/api",
        secret="s3cret/+",
        nodes=(node,),
        client="simulator",
        share="bind",
        disruptive=False,
        poll_interval=1,
        record_seconds=1,
        publishing_deadline=1,
        owner="",
        rollback_point="",
        connector_version="",
        journal=Path("journal"),
    )
