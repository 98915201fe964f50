"""Secrets are found wherever they stand, and are not repeated by whoever tells of them."""

import pytest

from acceptance.support.leaks import Page, found

SECRETS = {"the front end's secret": "s3cret/+", "the secret of bbb1": "other"}


@pytest.mark.parametrize("text", ["<p>s3cret/+</p>", "X-Debug: s3cret/+", "/join?key=s3cret%2F%2B"])
def test_a_secret_is_found_plain_and_percent_encoded(text: str) -> None:
    """The finding names whose secret it is and where, and does not hold it."""
    findings = found(SECRETS, [Page("a page", "nothing"), Page("the start page", text)])
    assert findings == ["the front end's secret stands in the start page"]


def test_nothing_is_found_where_nothing_is() -> None:
    """A checksum is no secret."""
    assert found(SECRETS, [Page("a page", "checksum=0123456789abcdef")]) == []
