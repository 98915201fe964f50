"""The dependency arrow: the processes use core, storage and nodes; core uses nothing of the outside world."""

import ast
from pathlib import Path

import pytest

BALANCER = Path(__file__).parents[2] / "balancer"

CORE_KNOWS = ("balancer.core", "balancer.errors")
#: Packages above storage and nodes. None of them imports another one, except that commands start the processes.
PROCESSES = ("balancer.web", "balancer.polling", "balancer.importing", "balancer.cli")


def others(*allowed: str) -> tuple[str, ...]:
    """The processes without these."""
    return tuple(name for name in PROCESSES if name not in allowed)


#: What each package may not import, as prefixes of module names.
FORBIDDEN = {
    "core": (
        "flask",
        "gunicorn",
        "psycopg",
        "redis",
        "requests",
        "aiohttp",
        "click",
        "structlog",
        "time",
        "random",
        "secrets",
        "socket",
    ),
    "storage": ("flask", "gunicorn", "requests", "aiohttp", "click", "balancer.nodes", *PROCESSES),
    "storage/postgresql": ("redis", "balancer.storage.redis"),
    "storage/redis": ("psycopg", "balancer.storage.postgresql"),
    "nodes": ("flask", "psycopg", "redis", "aiohttp", "click", *PROCESSES),
    "web": ("psycopg", "redis", "aiohttp", "click", *others("balancer.web")),
    "polling": ("flask", "gunicorn", "psycopg", "click", *others("balancer.polling")),
    "importing": ("flask", "gunicorn", "psycopg", "redis", "balancer.storage.redis", *others("balancer.importing")),
    "cli": ("flask", "psycopg", "redis", "balancer.web"),
}


def imported(source: str) -> set[str]:
    """Names of the modules that a source file imports, at any depth of it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def offences(package: str, source: str) -> list[str]:
    names = imported(source)
    # Core knows nothing of the project but itself; the other packages know what is not forbidden to them.
    foreign = {name for name in names if within(name, ("balancer",)) and not within(name, CORE_KNOWS)}
    return sorted(
        {name for name in names if within(name, FORBIDDEN[package])} | (foreign if package == "core" else set())
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_nothing_from_above_it(package: str) -> None:
    files = list((BALANCER / package).rglob("*.py"))
    assert files
    found = {str(path.relative_to(BALANCER)): offences(package, path.read_text()) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_only_storage_speaks_to_postgresql() -> None:
    users = {
        path.relative_to(BALANCER).parts[0]
        for path in BALANCER.rglob("*.py")
        if any(name.split(".")[0] in ("psycopg", "psycopg_pool") for name in imported(path.read_text()))
    }
    assert users == {"storage"}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("core", "import redis"),
        ("core", "from redis import Redis"),
        ("core", "def f():\n    import redis.client"),
        ("core", "from balancer import storage"),
        ("core", "from balancer.web.app import create_app"),
        ("core", "from balancer.importing.share import Share"),
        ("polling", "from flask import Flask"),
        ("importing", "from balancer.storage.redis.client import connect"),
        ("storage/redis", "from balancer.storage.postgresql import nodes"),
        ("storage", "from balancer.nodes.client import NodeClient"),
    ],
)
def test_a_planted_import_is_found(package: str, source: str) -> None:
    assert offences(package, source)
