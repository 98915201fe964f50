"""Settings: read once, complete or refused; secrets are never shown."""

from pathlib import Path

import pytest

from balancer import settings
from balancer.errors import SettingsError

SECRET = "a-shared-secret-of-the-tests"
REQUIRED = {
    "BALANCER_DATABASE_URL": "postgresql:///fleet",
    "BALANCER_REDIS_URL": "redis://localhost/0",
    "BALANCER_SECRETS": SECRET,
    "BALANCER_PUBLIC_URL": "https://bbb.example.org",
}


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "balancer.env"
    path.write_text("")
    return path


@pytest.fixture
def environ(env_file: Path) -> dict[str, str]:
    return REQUIRED | {"BALANCER_ENV_FILE": str(env_file)}


def problem(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load(environ)
    return str(caught.value)


def test_settings_that_are_not_given_have_defaults(environ: dict[str, str]) -> None:
    loaded = settings.load(environ)
    assert loaded.poll_interval == 10
    assert loaded.sources["poll_interval"] == "default"


def test_the_environment_overrides_the_file(environ: dict[str, str], env_file: Path) -> None:
    env_file.write_text("# the operator's\n\nBALANCER_POLL_INTERVAL=5\nBALANCER_WEB_WORKERS = 7\n")
    loaded = settings.load(environ | {"BALANCER_POLL_INTERVAL": "2.5"})
    assert (loaded.poll_interval, loaded.web_workers) == (2.5, 7)
    assert loaded.sources["poll_interval"] == "environment"
    assert loaded.sources["web_workers"] == f"{env_file}:4"


def test_several_secrets_are_accepted_for_a_rotation(environ: dict[str, str]) -> None:
    loaded = settings.load(environ | {"BALANCER_SECRETS": f"{SECRET} {SECRET}-old"})
    assert loaded.secrets == (SECRET, f"{SECRET}-old")


def test_a_secret_may_be_in_a_file_of_its_own(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}-from-file\n")
    del environ["BALANCER_SECRETS"]
    loaded = settings.load(environ | {"BALANCER_SECRETS_FILE": str(file)})
    assert loaded.secrets == (f"{SECRET}-from-file",)
    assert loaded.sources["secrets"] == str(file)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"BALANCER_POLL_INTERVALL": "1"}, "BALANCER_POLL_INTERVALL"),
        ({"BALANCER_POLL_INTERVAL": "soon"}, "BALANCER_POLL_INTERVAL"),
        ({"BALANCER_POLL_INTERVAL": "0"}, "BALANCER_POLL_INTERVAL"),
        ({"BALANCER_POLL_INTERVAL": "nan"}, "BALANCER_POLL_INTERVAL"),
        ({"BALANCER_WEB_WORKERS": "1.5"}, "BALANCER_WEB_WORKERS"),
        ({"BALANCER_WEB_WORKERS": "-1"}, "BALANCER_WEB_WORKERS"),
        ({"BALANCER_PUBLIC_URL": "https://bbb.example.org/bigbluebutton"}, "BALANCER_PUBLIC_URL"),
        ({"BALANCER_PUBLIC_URL": "bbb.example.org"}, "BALANCER_PUBLIC_URL"),
        ({"BALANCER_CHECKSUM_ALGORITHMS": "sha256 md5"}, "BALANCER_CHECKSUM_ALGORITHMS"),
        ({"BALANCER_NODE_CHECKSUM_ALGORITHM": ""}, "BALANCER_NODE_CHECKSUM_ALGORITHM"),
        ({"BALANCER_SHARE_MARKER": "maybe"}, "BALANCER_SHARE_MARKER"),
        ({"BALANCER_RECORDINGS_ROOT": "var/bigbluebutton"}, "BALANCER_RECORDINGS_ROOT"),
        ({"BALANCER_SECRETS": "short"}, "BALANCER_SECRETS"),
        ({"BALANCER_SECRETS": ""}, "BALANCER_SECRETS"),
        ({"BALANCER_SECRETS_FILE": "/nonexistent"}, "BALANCER_SECRETS_FILE"),
        ({"BALANCER_POLL_INTERVAL_FILE": "/etc/hostname"}, "BALANCER_POLL_INTERVAL_FILE"),
    ],
)
def test_a_bad_or_unknown_setting_is_named_and_refused(
    environ: dict[str, str], changes: dict[str, str], named: str
) -> None:
    assert named in problem(environ | changes)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named_with_its_meaning(environ: dict[str, str], name: str) -> None:
    del environ[name]
    assert f"{name} is not set: " in problem(environ)


def test_all_problems_are_reported_at_once(environ: dict[str, str]) -> None:
    text = problem(environ | {"BALANCER_WEB_THREADS": "x", "BALANCER_TYPO": "y"})
    assert "BALANCER_WEB_THREADS" in text
    assert "BALANCER_TYPO" in text


def test_no_secret_is_ever_shown(environ: dict[str, str]) -> None:
    assert SECRET not in repr(settings.load(environ))
    assert SECRET not in problem(environ | {"BALANCER_SECRETS": f"{SECRET} bad", "BALANCER_TYPO": SECRET})


@pytest.mark.parametrize("line", ["POLL_INTERVAL=5", "BALANCER_POLL_INTERVAL", "BALANCER_X=1\nBALANCER_X=2"])
def test_a_malformed_line_is_named_by_number(environ: dict[str, str], env_file: Path, line: str) -> None:
    env_file.write_text(f"{line}\n")
    assert f"{env_file}:{len(line.splitlines())}" in problem(environ)


def test_a_settings_file_that_was_named_must_exist(environ: dict[str, str], tmp_path: Path) -> None:
    assert "cannot be read" in problem(environ | {"BALANCER_ENV_FILE": str(tmp_path / "absent")})


def test_every_setting_has_a_sentence() -> None:
    assert [field.name for field in settings.fields() if not field.metadata["help"].endswith(".")] == []


def test_the_error_for_a_missing_setting_names_the_file(environ: dict[str, str], env_file: Path) -> None:
    del environ["BALANCER_PUBLIC_URL"]
    assert f"Settings are read from {env_file}, one NAME=value on each line" in problem(environ)


def test_a_file_that_cannot_be_read_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even if the file is the default one: otherwise it would seem as if nothing had been set."""
    hidden = tmp_path / "closed"
    hidden.write_text("")
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", hidden / "balancer.env")
    assert f"settings file {hidden}/balancer.env cannot be read" in problem(dict(REQUIRED))


def test_without_any_file_the_environment_suffices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", tmp_path / "absent.env")
    assert settings.load(REQUIRED).public_url == "https://bbb.example.org"
