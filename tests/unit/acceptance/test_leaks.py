"""Secrets are found in every kind of text, and findings do not repeat them."""

from pathlib import Path
from typing import Any

import pytest
import requests

from acceptance.support import leaks
from acceptance.support.bbb import BBB
from acceptance.support.environment import load
from acceptance.support.leaks import SearchedText
from acceptance.support.meetings import Meeting
from tests.unit.acceptance.environment_file import content, write
from tests.unit.acceptance.http_response import response

SECRETS = {"the front end's secret": "s3cret/+", "the secret of bbb1": "other"}


@pytest.mark.parametrize("text", ["<p>s3cret/+</p>", "X-Debug: s3cret/+", "/join?key=s3cret%2F%2B"])
def test_a_secret_is_found_plain_and_percent_encoded(text: str) -> None:
    """The finding says which secret it is and where it appears, but does not contain it."""
    findings = leaks.find(SECRETS, [SearchedText("a page", "nothing"), SearchedText("the start page", text)])
    assert findings == ["the front end's secret appears in the start page"]


def test_a_checksum_is_not_a_secret() -> None:
    assert leaks.find(SECRETS, [SearchedText("a page", "checksum=0123456789abcdef")]) == []


class Leaking(BBB):
    """One of its answers shows a node's secret in a header."""

    leak = ""

    def get(self, url: str, **options: Any) -> requests.Response:
        leaking = {"Location": "https://bbb1.test/join?secret=other"} if self.leak in url.split("?")[0] else {}
        return response(url, text="<response/>", headers=leaking)


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
def test_answers_of_every_kind_are_searched(tmp_path: Path, leak: str, place: str) -> None:
    """Successful ones too: a redirect to a node is the likeliest place for its secret."""
    api = Leaking("https://bbb.test/bigbluebutton/api", "s3cret/+")
    api.leak = leak
    meeting = Meeting("m", "i", "1", "mp", "ap", {"meetingID": "m", "name": "m"})
    findings = leaks.find(SECRETS, leaks.answers(api, load(write(tmp_path, content())), meeting))
    assert any(line.startswith(f"the secret of bbb1 appears in {place}") for line in findings), findings
