"""The environment file: everything that differs between clusters. It is checked before anything runs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from acceptance.support.checksum import DIGESTS

FORMAT = 1
SECRET_KEYS = ("secret", "secret_file", "secret_command")
BBB_PATH = "/bigbluebutton/api"


class EnvironmentFileError(ValueError):
    """The environment file cannot be used; the text says which key and what to do."""


@dataclass(frozen=True)
class Node:
    """One BBB node: its name in the balancer, how its API is reached, and its host in the inventory."""

    name: str
    url: str
    secret: str = field(repr=False)
    host: str
    hostname: str


@dataclass(frozen=True)
class Spread:
    """When the spread of new meetings can be judged, and how even it must be (meetings)."""

    meetings_per_node: int = 2
    load_tolerance: float = 3
    difference: int = 1


@dataclass(frozen=True)
class OperatorCommands:
    """How an operator acts on this cluster, as argument lists with {node}, {host} and {inventory} to fill in."""

    run_on: str = "balancer"
    node_list: tuple[str, ...] = ("balancer", "node", "list", "--format", "json")
    node_enable: tuple[str, ...] = ("balancer", "node", "enable", "{node}")
    node_drain: tuple[str, ...] = ("balancer", "node", "drain", "{node}")
    node_disable: tuple[str, ...] = ("balancer", "node", "disable", "{node}")
    recording_queue: tuple[str, ...] = ("balancer", "recording", "queue")
    version: tuple[str, ...] = ("readlink", "/opt/bbb-fleet/current")
    host_restart: tuple[str, ...] = (
        *("ansible", "{host}", "-i", "{inventory}", "--become"),
        *("-m", "ansible.builtin.reboot"),
    )


@dataclass(frozen=True)
class AcceptedGap:
    """A scenario (shell pattern) that may be skipped or stay unproved here, and why."""

    scenario: str
    reason: str


@dataclass(frozen=True)
class Environment:
    """One valid environment file. Paths are absolute, durations are seconds."""

    path: Path
    name: str
    url: str
    secret: str = field(repr=False)
    nodes: tuple[Node, ...]
    client: str
    share: str
    disruptive: bool
    poll_interval: float
    record_seconds: float
    publishing_deadline: float
    owner: str
    rollback_point: str
    connector_version: str
    journal: Path
    checksum: str = "sha256"
    ca_file: Path | None = None
    inventory: Path | None = None
    vault_password_file: Path | None = None
    patience: float = 1.0
    spread: Spread = Spread()
    operator: OperatorCommands = OperatorCommands()
    accepted_gaps: tuple[AcceptedGap, ...] = ()

    @property
    def verify(self) -> str | bool:
        """What `requests` takes as `verify`: certificates are always checked."""
        return str(self.ca_file) if self.ca_file else True

    @property
    def origin(self) -> str:
        """`https://HOST` of the endpoint, without a path."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def node(self, name: str) -> Node:
        """The node of that name; KeyError if the file has none."""
        return {node.name: node for node in self.nodes}[name]


def load(path: Path) -> Environment:
    """Reads and checks an environment file. Raises EnvironmentFileError, whose text names file, key and remedy."""
    try:
        return _environment(path.resolve(), _read(path))
    except EnvironmentFileError as error:
        raise EnvironmentFileError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EnvironmentFileError(f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise EnvironmentFileError(f"is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise EnvironmentFileError("must be a mapping of keys and values; copy acceptance/expected/example.yml")
    version = content.pop("version", None)
    if version != FORMAT:
        raise EnvironmentFileError(f"version: this suite reads version {FORMAT}, the file says {version!r}")
    return content


def _environment(path: Path, content: dict[str, Any]) -> Environment:
    here = path.parent
    values = dict(content)
    _check_keys(
        values, {*_names(Environment), *SECRET_KEYS} - {"path"}, _required(Environment) - {"path", "journal", "secret"}
    )
    values["secret"] = _take_secret(values, here, "")
    values["nodes"] = _nodes(values["nodes"], here)
    values["operator"] = _operator(values.get("operator") or {})
    values["spread"] = _section(Spread, values.get("spread") or {}, "spread")
    gaps = _list(values.get("accepted_gaps") or [], "accepted_gaps")
    values["accepted_gaps"] = tuple(
        _section(AcceptedGap, gap, f"accepted_gaps[{number}]") for number, gap in enumerate(gaps)
    )
    values.setdefault("journal", f"{values['name']}.journal.json")
    for key in ("journal", "ca_file", "inventory", "vault_password_file"):
        if values.get(key) is not None:
            values[key] = here / _text(values[key], key)
    _check_values(values)
    return Environment(path=path, **values)


def _check_values(values: dict[str, Any]) -> None:
    _url(values["url"], "url")
    for key in ("name", "owner", "rollback_point", "connector_version"):
        _text(values[key], key)
    for key, allowed in {
        "client": ("bbb", "simulator"),
        "share": ("nfs", "bind"),
        "checksum": tuple(DIGESTS),
        "disruptive": (True, False),
    }.items():
        if key in values and values[key] not in allowed:
            raise EnvironmentFileError(f"{key}: {values[key]!r} must be one of {', '.join(map(str, allowed))}")
    for key in ("poll_interval", "record_seconds", "publishing_deadline", "patience"):
        if key in values:
            _positive(values[key], key)
    for key in ("ca_file", "inventory", "vault_password_file"):
        if values.get(key) is not None and not values[key].exists():
            raise EnvironmentFileError(f"{key}: {values[key]} does not exist")


def _nodes(content: object, here: Path) -> tuple[Node, ...]:
    nodes = tuple(_node(item, here, f"nodes[{number}]") for number, item in enumerate(_list(content, "nodes")))
    if len(nodes) < 2:
        raise EnvironmentFileError("nodes: a cluster has at least two nodes")
    for attribute in ("name", "url", "host"):
        known: set[str] = set()
        for value in (getattr(node, attribute) for node in nodes):
            if value in known:
                raise EnvironmentFileError(f"nodes: two nodes have the same {attribute} {value!r}")
            known.add(value)
    return nodes


def _node(content: object, here: Path, where: str) -> Node:
    values = dict(_mapping(content, where))
    _check_keys(values, {*_names(Node), *SECRET_KEYS}, {"name", "url"}, where)
    _url(values["url"], f"{where}.url")
    values["secret"] = _take_secret(values, here, f"{where}.")
    values.setdefault("host", values["name"])
    values.setdefault("hostname", urlsplit(values["url"]).hostname)
    return Node(**{key: _text(value, f"{where}.{key}") for key, value in values.items()})


def _take_secret(values: dict[str, Any], here: Path, where: str) -> str:
    given = [key for key in SECRET_KEYS if key in values]
    if len(given) != 1:
        raise EnvironmentFileError(
            f"{where}secret: give exactly one of {', '.join(SECRET_KEYS)}, not {given or 'none'}"
        )
    key, value = given[0], values.pop(given[0])
    if key == "secret_file":
        try:
            value = (here / _text(value, where + key)).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise EnvironmentFileError(f"{where}{key}: {error.filename} cannot be read: {error.strerror}") from error
    elif key == "secret_command":
        value = _output(_arguments(value, where + key), here, where + key)
    if not _text(value, where + key):
        raise EnvironmentFileError(f"{where}{key}: the secret is empty")
    return str(value)


def _output(command: tuple[str, ...], here: Path, where: str) -> str:
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFileError(f"{where}: {error}") from error
    if done.returncode:
        raise EnvironmentFileError(f"{where}: {command[0]} exits with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def _operator(content: object) -> OperatorCommands:
    values = dict(_mapping(content, "operator"))
    _check_keys(values, _names(OperatorCommands), set(), "operator")
    run_on = _text(values.pop("run_on", "balancer"), "operator.run_on")
    return OperatorCommands(run_on, **{key: _arguments(value, f"operator.{key}") for key, value in values.items()})


S = TypeVar("S", Spread, AcceptedGap)


def _section(kind: type[S], content: object, where: str) -> S:
    values = _mapping(content, where)
    _check_keys(values, _names(kind), _required(kind), where)
    for key, value in values.items():
        _text(value, f"{where}.{key}") if kind is AcceptedGap else _positive(value, f"{where}.{key}", zero=True)
    return kind(**values)


def _names(kind: type) -> set[str]:
    return {item.name for item in fields(kind)}


def _required(kind: type) -> set[str]:
    return {item.name for item in fields(kind) if item.default is MISSING}


def _check_keys(values: Mapping[str, object], known: set[str], needed: set[str], where: str = "") -> None:
    prefix = f"{where}: " if where else ""
    if unknown := sorted(set(map(str, values)) - known):
        raise EnvironmentFileError(
            f"{prefix}unknown key {', '.join(unknown)}; known keys are {', '.join(sorted(known))}"
        )
    if missing := sorted(needed - set(values)):
        raise EnvironmentFileError(f"{prefix}missing key {', '.join(missing)}; see acceptance/expected/example.yml")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EnvironmentFileError(f"{where}: must be a mapping, not {value!r}")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise EnvironmentFileError(f"{where}: must be a list, not {value!r}")
    return value


def _arguments(value: object, where: str) -> tuple[str, ...]:
    items = _list(value, where)
    if not items or not all(isinstance(item, str) for item in items):
        raise EnvironmentFileError(f"{where}: must be a list of strings, such as [balancer, node, list]")
    return tuple(map(str, items))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise EnvironmentFileError(f"{where}: must be a string, not {value!r}")
    return value


def _positive(value: object, where: str, *, zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (value == 0 and not zero):
        raise EnvironmentFileError(f"{where}: must be a positive number, not {value!r}")


def _url(value: object, where: str) -> None:
    parts = urlsplit(_text(value, where))
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.endswith(BBB_PATH):
        raise EnvironmentFileError(f"{where}: {value!r} must look like https://HOST{BBB_PATH}")
