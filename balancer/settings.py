"""The balancer's settings: one frozen table, read from ``BALANCER_*`` variables and from a file of such lines.

The process environment overrides the file, the file overrides the defaults. A secret may be in a file of its own, named
by ``BALANCER_X_FILE``. Unknown names are refused, so that a misspelt setting does not silently keep its default.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from balancer.errors import SettingsError

PREFIX = "BALANCER_"
FILE_SUFFIX = "_FILE"
ENV_FILE = "BALANCER_ENV_FILE"
DEFAULT_ENV_FILE = Path("/etc/bbb-fleet/balancer.env")
ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


def _text(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _path(value: str) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError("is not an absolute path")
    return path


def _seconds(value: str) -> float:
    if not re.fullmatch(r"\d{1,7}(\.\d+)?", value) or not float(value):
        raise ValueError("is not a number of seconds above 0")
    return float(value)


def _weight(value: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", value):
        raise ValueError("is not a number from 0 to 9999")
    return float(value)


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value) or not int(value):
        raise ValueError("is not a whole number above 0")
    return int(value)


def _words(value: str) -> tuple[str, ...]:
    words = tuple(value.split())
    if not words:
        raise ValueError("is empty")
    return words


def _secrets(value: str) -> tuple[str, ...]:
    secrets = _words(value)
    if any(len(secret) < 16 for secret in secrets):
        raise ValueError("holds a secret shorter than 16 characters")
    return secrets


def _algorithms(value: str) -> tuple[str, ...]:
    names = _words(value)
    for name in names:
        _algorithm(name)
    return names


def _algorithm(value: str) -> str:
    if value not in ALGORITHMS:
        raise ValueError(f"is not one of {' '.join(ALGORITHMS)}")
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://[^/?#\s]+", value):
        raise ValueError("is not an origin such as https://bbb.example.org, without a path")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is not one of {' '.join(choices)}")
        return value

    return parse


def _setting(
    parse: Callable[[str], Any], help_text: str, default: Any = dataclasses.MISSING, *, secret: bool = False
) -> Any:
    metadata = {"parse": parse, "help": help_text, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, by the name that Ansible (``balancer_x``) and the environment (``BALANCER_X``) also use."""

    database_url: str = _setting(_text, "PostgreSQL as a libpq URI.", secret=True)
    redis_url: str = _setting(_text, "Redis as a redis://, rediss:// or unix:// URL.", secret=True)
    secrets: tuple[str, ...] = _setting(
        _secrets, "Shared secrets of the default tenant, separated by blanks. All of them are accepted.", secret=True
    )
    public_url: str = _setting(
        _origin, "Origin at which front ends reach the balancer. Nodes use it too, to report the end of a meeting."
    )
    checksum_algorithms: tuple[str, ...] = _setting(_algorithms, "Digests accepted from front ends.", ALGORITHMS)
    node_checksum_algorithm: str = _setting(_algorithm, "Digest in calls to nodes.", "sha256")
    node_ca_file: Path | None = _setting(
        _path, "CA bundle that signed the nodes' certificates. Unset: the system's.", None
    )
    node_connect_timeout: float = _setting(_seconds, "Seconds to wait for a connection to a node.", 3.0)
    node_read_timeout: float = _setting(_seconds, "Seconds to wait for a node's answer.", 10.0)
    node_info_timeout: float = _setting(
        _seconds, "Seconds to wait for a node's answer to isMeetingRunning and getMeetingInfo.", 1.5
    )
    create_timeout: float = _setting(_seconds, "Seconds to wait for a node's answer to create.", 20.0)
    node_url_limit_bytes: int = _setting(
        _count, "Longest request line sent to a node. Longer calls are sent as a form, if BBB accepts that.", 6000
    )
    poll_interval: float = _setting(_seconds, "Seconds between two polls of a node.", 10.0)
    poll_timeout: float = _setting(_seconds, "Seconds that one poll of a node may take.", 5.0)
    poll_fail_threshold: int = _setting(_count, "Failed polls in a row after which a node is unreachable.", 2)
    poll_pass_threshold: int = _setting(_count, "Successful polls in a row after which a node is online again.", 1)
    move_after: float = _setting(
        _seconds, "Seconds that a node must be unreachable before a create moves its meeting to another node.", 180.0
    )
    expected_users: int = _setting(
        _count, "Users expected in a new meeting, if neither the front end nor the room's last meetings say.", 10
    )
    young_meeting_seconds: float = _setting(
        _seconds, "Seconds for which more users are expected in a new meeting.", 900.0
    )
    video_weight: float = _setting(
        _weight, "Load of a webcam, in users, when nodes are compared. Its user is counted separately.", 0.5
    )
    body_limit_bytes: int = _setting(_count, "Largest request body accepted.", 100_000_000)
    recordings_root: Path = _setting(_path, "Where the recordings' share is mounted.", Path("/var/bigbluebutton"))
    share_marker: str = _setting(
        _one_of("required", "off"), "Whether .bbb-fleet-share must prove that the share is mounted.", "required"
    )
    import_interval: float = _setting(_seconds, "Seconds between two checks of the spool.", 10.0)
    import_limit_bytes: int = _setting(_count, "Largest unpacked size of an archive.", 50_000_000_000)
    import_attempts: int = _setting(_count, "Failed attempts after which an archive is moved to failed/.", 5)
    state_directory: Path = _setting(_path, "Directory of this host's registry file.", Path("/var/lib/bbb-fleet"))
    web_bind: str = _setting(
        _text, "Where gunicorn listens: unix:PATH or ADDRESS:PORT.", "unix:/run/bbb-fleet/web.sock"
    )
    web_workers: int = _setting(_count, "gunicorn's worker processes.", 2)
    web_threads: int = _setting(_count, "Threads in each worker process.", 32)
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), "Lowest severity that is logged.", "info")
    log_format: str = _setting(_one_of("json", "text"), "json for machines, text for a terminal.", "json")

    #: The source of each value: "default", "environment" or "FILE:LINE".
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)


def fields() -> list[dataclasses.Field[Any]]:
    """The fields that are settings, in the reference page's order."""
    return [field for field in dataclasses.fields(Settings) if "parse" in field.metadata]


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises SettingsError, which names every bad, missing or unknown setting and its source, never its value.
    """
    environ = os.environ if environ is None else environ
    assigned = _read_env_file(environ) | {
        name: (value, "environment") for name, value in environ.items() if name.startswith(PREFIX) and name != ENV_FILE
    }
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for field in fields():
        try:
            taken = _pop_value(field, assigned)
            if taken is not None:
                values[field.name], sources[field.name] = taken
        except ValueError as error:
            problems.append(str(error))
    problems += [_unknown(name, source) for name, (_, source) in sorted(assigned.items())]
    if problems:
        path = environ.get(ENV_FILE, DEFAULT_ENV_FILE)
        raise SettingsError(f"{'; '.join(problems)}. Settings are read from {path}, one NAME=value on each line")
    return Settings(**values, sources={field.name: sources.get(field.name, "default") for field in fields()})


def _read_env_file(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """NAME -> (value, FILE:LINE) of the settings file. If the operator named the file, it must exist."""
    path = Path(environ.get(ENV_FILE, DEFAULT_ENV_FILE))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if ENV_FILE not in environ and isinstance(error, FileNotFoundError):
            return {}
        raise SettingsError(f"settings file {path} cannot be read: {error}") from error
    assigned: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().startswith(PREFIX) or name.strip() in assigned:
            raise SettingsError(f"{path}:{number} is not a new {PREFIX}NAME=value line")
        assigned[name.strip()] = (value.strip(), f"{path}:{number}")
    return assigned


def _unknown(name: str, source: str) -> str:
    known = [field.name.upper() for field in fields()]
    known += [field.name.upper() + FILE_SUFFIX for field in fields() if field.metadata["secret"]]
    # Without the prefix, which would make all names similar.
    like = get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=0.75)
    remedy = f"did you mean {PREFIX}{like[0]}?" if like else "remove it"
    return f"{name} ({source}) is not a setting of the balancer: {remedy}"


def _pop_value(field: dataclasses.Field[Any], assigned: dict[str, tuple[str, str]]) -> tuple[Any, str] | None:
    """Remove a field's value from what was assigned. Returns None if it has its default."""
    name = PREFIX + field.name.upper()
    given = assigned.pop(name, None)
    # node_ca_file is a file's name itself: only secrets have the _FILE form.
    from_file = assigned.pop(name + FILE_SUFFIX, None) if field.metadata["secret"] else None
    if given and from_file:
        raise ValueError(f"{name} and {name}{FILE_SUFFIX} are both set: remove one")
    if from_file:
        given = _read_secret(name + FILE_SUFFIX, *from_file)
    if given is None:
        if field.default is dataclasses.MISSING:
            raise ValueError(f"{name} is not set: {field.metadata['help'].rstrip('.')}")
        return None
    value, source = given
    try:
        return field.metadata["parse"](value), source
    except ValueError as error:
        raise ValueError(f"{name} ({source}) {error}") from None


def _read_secret(name: str, path: str, source: str) -> tuple[str, str]:
    try:
        return Path(path).read_text(encoding="utf-8").strip(), path
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} ({source}) names a file that cannot be read: {error}") from error
