"""The dependency arrow of the package: everything may use core, core uses nothing of the outside world."""

import ast
from pathlib import Path

import pytest

BALANCER = Path(__file__).parents[2] / "balancer"

CORE_KNOWS = ("balancer.core", "balancer.errors")
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
        "secrets",
        "socket",
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


def within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def offences(layer: str, source: str) -> list[str]:
    names = imported(source)
    # Core knows nothing of the package but itself; the others know what is not forbidden to them.
    foreign = {name for name in names if within(name, ("balancer",)) and not within(name, CORE_KNOWS)}
    return sorted({name for name in names if within(name, FORBIDDEN[layer])} | (foreign if layer == "core" else set()))


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
        "from balancer.share import Share",
    ],
)
def test_a_planted_import_is_found(source: str) -> None:
    assert offences("core", source)
