"""What the repository promises about itself: short to read, pinned to the byte, linted without exceptions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PINS = sorted((PROJECT / "requirements").glob("*.txt"))
#: One requirement with its hashes, each on a line of its own.
REQUIREMENT = re.compile(r"^(?![\s#]).+(?:\n +--hash.+)*", re.MULTILINE)
PINNED = re.compile(r"[a-z0-9._-]+(?:\[[a-z,]+\])?==\S+(?: ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+")


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes_and_names_no_index(path: Path) -> None:
    text = path.read_text()
    requirements = REQUIREMENT.findall(text)
    assert requirements
    assert [each for each in requirements if not PINNED.fullmatch(each)] == []
    assert re.findall(r"--(?:extra-)?index-url|--find-links|https?://|file:", text) == []


def test_no_rule_of_a_linter_is_skipped() -> None:
    lint = yaml.safe_load((PROJECT / ".ansible-lint").read_text())
    assert lint["profile"] == "production"
    assert not {"skip_list", "warn_list"} & set(lint)


def test_every_release_has_a_commit_and_the_last_one_is_this_version_or_the_one_before() -> None:
    releases = yaml.safe_load((PROJECT / "tests/upgrade/releases.yml").read_text())
    numbers = [tuple(map(int, each["release"].split("."))) for each in releases]
    assert numbers == sorted(set(numbers))
    assert all(re.fullmatch("[0-9a-f]{40}", each["commit"]) for each in releases)
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert numbers[-1] <= tuple(map(int, version.split(".")))
