"""The version probe."""

import pytest
from defusedxml.ElementTree import fromstring
from flask import Flask


@pytest.mark.parametrize(
    "path", ["/bigbluebutton/api", "/bigbluebutton/api/", "/bigbluebutton/", "/api/?checksum=anything"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_needs_no_checksum_and_never_redirects(app: Flask, path: str, method: str) -> None:
    answer = app.test_client().open(path, method=method)
    assert answer.status_code == 200
    root = fromstring(answer.text)
    assert [element.tag for element in root] == ["returncode", "version", "apiVersion", "bbbVersion", "build"]
    assert (root.findtext("returncode"), root.findtext("version")) == ("SUCCESS", "2.0")


def test_json_is_given_to_clients_that_accept_it(app: Flask) -> None:
    answer = app.test_client().get("/bigbluebutton/api", content_type="application/json")
    assert answer.json
    assert answer.json["response"]["version"] == "2.0"
