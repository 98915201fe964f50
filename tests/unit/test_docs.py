"""Docs name files of the project: each of them exists, and links between pages lead somewhere."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
#: A path in backquotes, with a folder and an ending.
_PATH = re.compile(r"`((?:[a-z_][\w.-]*/)+[\w.-]+\.(?:py|sql|j2|rb|yml|md|txt|sh))`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def missing(text: str) -> list[str]:
    """Paths in a text that exist neither below the project nor below balancer/."""
    return [
        name
        for name in _PATH.findall(text)
        if not any((root / name).is_file() for root in (PROJECT, PROJECT / "balancer"))
    ]


@pytest.mark.parametrize("name", ["flows.md", "design.md"])
def test_every_file_named_in_an_explanation_exists(name: str) -> None:
    text = (PROJECT / "docs/explanation" / name).read_text()
    assert len(_PATH.findall(text)) >= 5
    assert missing(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_a_path_that_does_not_exist_is_found() -> None:
    assert missing("see `web/join.py` and `web/nowhere.py`") == ["web/nowhere.py"]
