"""The environment file: correct values are loaded, and an error names the key and the remedy."""

from pathlib import Path
from typing import Any

import pytest

from acceptance.support.environment import EnvironmentFileError, load
from tests.unit.acceptance.environment_file import content, write


def refused(directory: Path, values: dict[str, Any]) -> str:
    with pytest.raises(EnvironmentFileError) as caught:
        load(write(directory, values))
    return str(caught.value)


def test_the_example_is_complete(tmp_path: Path) -> None:
    """Every key of the example is known, and its operator commands are the defaults."""
    environment = load(write(tmp_path, content()))
    assert [node.hostname for node in environment.nodes] == [f"bbb{n}.example.org" for n in (1, 2, 3)]
    assert environment.operator == type(environment.operator)()
    assert environment.journal == tmp_path / "example.journal.json"


def test_a_secret_is_read_from_a_file_beside_the_environment(tmp_path: Path) -> None:
    """The path is relative to the environment file, and the line end is not part of the secret."""
    values = content()
    del values["secret"]
    values["secret_file"] = "front-end"
    (tmp_path / "front-end").write_text("from-a-file\n")
    assert load(write(tmp_path, values)).secret == "from-a-file"


def test_a_secret_comes_from_a_command(tmp_path: Path) -> None:
    """The output of a command is the secret."""
    values = content()
    del values["nodes"][0]["secret"]
    values["nodes"][0]["secret_command"] = ["printf", "from-a-command"]
    assert load(write(tmp_path, values)).nodes[0].secret == "from-a-command"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    """Neither the environment nor a node shows its secret when it is printed."""
    environment = load(write(tmp_path, content()))
    assert "a-secret" not in repr(environment)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ulr": "https://x/bigbluebutton/api"}, "unknown key ulr"),
        ({"owner": None}, "missing key owner"),
        ({"secret_file": "x"}, "give exactly one of secret, secret_file, secret_command"),
        ({"url": "bbb.example.org"}, "url: 'bbb.example.org' must look like https://HOST/bigbluebutton/api"),
        ({"client": "firefox"}, "client: 'firefox' must be one of bbb, simulator"),
        ({"disruptive": "maybe"}, "disruptive: 'maybe' must be one of True, False"),
        ({"record_seconds": -1}, "record_seconds: must be a positive number"),
        ({"poll_interval": True}, "poll_interval: must be a positive number"),
        ({"ca_file": "no-such.pem"}, "ca_file:"),
        ({"operator": {"node_lst": ["x"]}}, "operator: unknown key node_lst"),
        ({"operator": {"node_list": "balancer node list"}}, "operator.node_list: must be a list"),
        ({"operator": {"node_list": []}}, "operator.node_list: must be a list of strings"),
        ({"spread": {"difference": "one"}}, "spread.difference: must be a positive number"),
        ({"accepted_gaps": [{"scenario": "disable/*"}]}, "accepted_gaps[0]: missing key reason"),
        ({"nodes": []}, "nodes: a cluster has at least two nodes"),
        ({"version": 2}, "version: this suite reads version 1, the file says 2"),
    ],
)
def test_a_wrong_key_or_value_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message names the file, the key and the allowed values."""
    values = {key: value for key, value in content(**change).items() if value is not None}
    message = refused(tmp_path, values)
    assert message.startswith(str(tmp_path / "site.yml"))
    assert words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "bbb1"}, "two nodes have the same name 'bbb1'"),
        ({"host": "bbb1"}, "two nodes have the same host 'bbb1'"),
        ({"url": "https://bbb1.example.org/bigbluebutton/api"}, "two nodes have the same url"),
        ({"url": 7}, "nodes[1].url: must be a string"),
        ({"port": 1}, "nodes[1]: unknown key port"),
        ({"secret": ""}, "nodes[1].secret: the secret is empty"),
    ],
)
def test_a_wrong_node_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message names the second node by its number or by the value that it shares with the first."""
    values = content()
    values["nodes"][1].update(change)
    assert words in refused(tmp_path, values)


def test_a_failing_secret_command_is_named(tmp_path: Path) -> None:
    """The message contains the command's error output."""
    values = content()
    del values["secret"]
    values["secret_command"] = ["sh", "-c", "echo no vault >&2; exit 3"]
    assert "secret_command: sh exits with 3: no vault" in refused(tmp_path, values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", ""])
def test_a_file_without_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """So are a list, broken YAML and an empty file."""
    path = tmp_path / "site.yml"
    path.write_text(text)
    with pytest.raises(EnvironmentFileError, match=r"site\.yml: (must be a mapping|is not YAML)"):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A wrong path gives a message instead of a traceback."""
    with pytest.raises(EnvironmentFileError, match="cannot be read: No such file"):
        load(tmp_path / "nowhere.yml")
