"""The dependency arrow of the package: everything may use core, core uses nothing of the outside world."""

import ast
from pathlib import Path

import pytest

BALANCER = Path(__file__).parents[2] / "balancer"

#: Who may not import what, as prefixes of module names.
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
        "balancer.web",
        "balancer.storage",
        "balancer.cli",
        "balancer.settings",
        "balancer.node_client",
        "balancer.poller",
        "balancer.importer",
    ),
    "storage": (
        "flask",
        "gunicorn",
        "requests",
        "aiohttp",
        "click",
        "balancer.web",
        "balancer.cli",
        "balancer.node_client",
        "balancer.poller",
        "balancer.importer",
    ),
    "web": ("psycopg", "redis", "aiohttp", "click", "balancer.cli", "balancer.poller", "balancer.importer"),
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


def offences(layer: str, source: str) -> list[str]:
    return sorted(
        name for name in imported(source) if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN[layer])
    )


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_nothing_from_above_it(layer: str) -> None:
    found = {
        str(path.relative_to(BALANCER)): offences(layer, path.read_text()) for path in (BALANCER / layer).rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_only_storage_speaks_to_postgresql() -> None:
    users = {
        path.relative_to(BALANCER).parts[0]
        for path in BALANCER.rglob("*.py")
        if any(name.split(".")[0] in ("psycopg", "psycopg_pool") for name in imported(path.read_text()))
    }
    assert users == {"storage"}


@pytest.mark.parametrize(
    "source",
    [
        "import redis",
        "from redis import Redis",
        "def f():\n    import redis.client",
        "from balancer import storage",
        "from balancer.web.app import create_app",
    ],
)
def test_a_planted_import_is_found(source: str) -> None:
    assert offences("core", source)
