"""The node's URL and secret are those that bbb-web uses."""

from pathlib import Path

import pytest

from tests.unit.roles.scripts import PROJECT, load

facts = load(PROJECT / "plugins/modules/bbb_node_facts.py")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("securitySalt=abc", {"securitySalt": "abc"}),
        ("  securitySalt = abc  ", {"securitySalt": "abc"}),
        ("securitySalt: abc", {"securitySalt": "abc"}),
        ("securitySalt abc", {"securitySalt": "abc"}),
        ("# securitySalt=no\n! securitySalt=no\n\n", {}),
        ("securitySalt=first\nsecuritySalt=last", {"securitySalt": "last"}),
        ("url=https\\://node.example.org", {"url": "https://node.example.org"}),
        ("name=caf\\u00e9", {"name": "café"}),
        ("long=one,\\\n   two", {"long": "one,two"}),
        ("end=backslash\\\\\nnext=1", {"end": "backslash\\", "next": "1"}),
        ("salt=a=b:c", {"salt": "a=b:c"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_property_files_are_read_as_java_reads_them(text: str, expected: dict[str, str]) -> None:
    assert facts.parse_properties(text) == expected


def test_the_operators_file_overrides_the_packages_file(tmp_path: Path) -> None:
    operators, packaged = tmp_path / "bbb-web.properties", tmp_path / "bigbluebutton.properties"
    operators.write_text("securitySalt=operators\n")
    packaged.write_text("securitySalt=packaged\nbigbluebutton.web.serverURL=https://node.example.org/\n")
    identity = facts.read_identity([str(operators), str(packaged)], str(tmp_path / "none"))
    assert identity["secret"] == "operators"
    assert identity["api_url"] == "https://node.example.org/bigbluebutton/api"


def test_an_empty_value_is_taken_from_the_next_file(tmp_path: Path) -> None:
    operators, packaged = tmp_path / "a", tmp_path / "b"
    operators.write_text("securitySalt=\n")
    packaged.write_text("securitySalt=packaged\n")
    assert facts.read_identity([str(operators), str(packaged)], str(tmp_path / "none"))["secret"] == "packaged"


def test_a_host_without_bigbluebutton_has_no_files(tmp_path: Path) -> None:
    identity = facts.read_identity([str(tmp_path / "none")], str(tmp_path / "none"))
    assert identity == {"files": [], "server_url": "", "api_url": "", "secret": "", "release": ""}


def test_the_release_is_read(tmp_path: Path) -> None:
    (tmp_path / "release").write_text("BIGBLUEBUTTON_RELEASE=3.0.14\n")
    assert facts.read_identity([], str(tmp_path / "release"))["release"] == "3.0.14"
