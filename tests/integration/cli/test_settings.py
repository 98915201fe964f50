"""``balancer settings show``, bad settings, and the command line as a whole."""

from pathlib import Path

import pytest

from balancer import __version__
from tests.integration.cli.conftest import FRONT_END_SECRET, Commands


def test_each_value_is_shown_with_its_source(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "balancer.env"
    path.write_text("# a comment\nBALANCER_POLL_TIMEOUT=3\n")
    commands.environment |= {"BALANCER_ENV_FILE": str(path), "BALANCER_POLL_INTERVAL": "7"}
    shown = {entry["name"]: entry for entry in commands.json("settings", "show")["settings"]}
    assert shown["BALANCER_POLL_INTERVAL"] == {
        "name": "BALANCER_POLL_INTERVAL",
        "value": 7.0,
        "source": "environment",
    }
    assert (shown["BALANCER_POLL_TIMEOUT"]["value"], shown["BALANCER_POLL_TIMEOUT"]["source"]) == (3.0, f"{path}:2")
    assert shown["BALANCER_CREATE_TIMEOUT"]["source"] == "default"
    assert shown["BALANCER_RECORDINGS_ROOT"]["value"] == "/var/bigbluebutton"


def test_secrets_are_never_shown(commands: Commands) -> None:
    commands.environment["BALANCER_DATABASE_URL"] = "postgresql://u:hidden-password@h/db"
    for output in (commands.ok("settings", "show"), commands.ok("settings", "show", "--format", "json")):
        assert "hidden-password" not in output
        assert FRONT_END_SECRET not in output
        assert "(secret)" in output
        assert "BALANCER_SECRETS" in output


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BALANCER_POLL_INTERVALL", "10", "is not a setting of the balancer: did you mean BALANCER_POLL_INTERVAL?"),
        ("BALANCER_COLOUR", "blue", "BALANCER_COLOUR (environment) is not a setting of the balancer: remove it"),
        ("BALANCER_POLL_INTERVAL", "soon", "BALANCER_POLL_INTERVAL (environment) is not a number of seconds"),
        ("BALANCER_ENV_FILE", "/nonexistent/balancer.env", "/nonexistent/balancer.env cannot be read"),
    ],
)
@pytest.mark.parametrize("words", [("settings", "show"), ("node", "list"), ("poller", "run"), ("importer", "run")])
def test_bad_settings_are_reported_before_anything_is_done(
    commands: Commands, name: str, value: str, message: str, words: tuple[str, ...]
) -> None:
    commands.environment[name] = value
    assert message in commands.refused(*words, code=3)


def test_help_needs_no_settings(commands: Commands) -> None:
    commands.environment["BALANCER_ENV_FILE"] = "/nonexistent/balancer.env"
    assert "Exit codes:" in commands.ok("--help")
    assert "secret" in commands.ok("node", "add", "--help")
    assert commands.ok("--version") == f"balancer, version {__version__}\n"


@pytest.mark.parametrize("words", [("node", "list"), ("meeting", "list"), ("settings", "show"), ("database", "check")])
def test_an_unknown_format_is_refused(commands: Commands, words: tuple[str, ...]) -> None:
    assert commands.run(*words, "--format", "yaml").exit_code == 2
