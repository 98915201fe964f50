"""The generated pages say what is there."""

from tools.reference import outdated


def test_the_reference_pages_are_up_to_date() -> None:
    assert outdated() == [], "run python -m tools.reference"
