"""Compare each role's argument spec with its defaults: names and values must agree.

A variable only in the spec must be required or have no default. Preflight ignores a variable only in the defaults.
Prints one line for each difference and exits with 1, or prints nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
ABSENT = object()
# The role that registers nodes has variables that are named after the balancer's.
OTHER_PREFIXES = {"bbb_node": ("balancer_node_",)}


def load(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, empty if the file does not exist."""
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def normalised(value: Any) -> Any:
    """A default for comparison: line breaks in templates make no difference."""
    return " ".join(value.split()) if isinstance(value, str) else value


def differences(role: str, defaults: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    """One text for each variable that differs between the two files of a role."""
    for name in sorted(defaults.keys() | options.keys()):
        option = options.get(name)
        default = normalised(defaults.get(name, ABSENT))
        if not name.startswith((f"{role}_", *OTHER_PREFIXES.get(role, ()))):
            yield f"{role}: {name} does not begin with the role's name"
        elif option is None:
            yield f"{role}: {name} is in the defaults and missing in the spec"
        elif not option.get("description"):
            yield f"{role}: {name} has no description in the spec"
        elif option.get("required"):
            if default is not ABSENT:
                yield f"{role}: {name} is required by the spec and has a default"
        elif default != (specified := normalised(option.get("default", ABSENT))):
            yield f"{role}: {name}: defaults have {shown(default)}, spec has {shown(specified)}"


def shown(value: Any) -> str:
    """A default as text for a message."""
    return "nothing" if value is ABSENT else repr(value)


def check(roles: Path) -> list[str]:
    """All differences below a directory of roles."""
    result: list[str] = []
    for role in sorted(path for path in roles.iterdir() if path.is_dir()):
        specs = load(role / "meta" / "argument_specs.yml").get("argument_specs", {})
        if "main" not in specs:
            result.append(f"{role.name}: has no meta/argument_specs.yml with an entry point main")
            continue
        options = specs["main"].get("options", {})
        result += differences(role.name, load(role / "defaults" / "main.yml"), options)
    return result


def main() -> int:
    """Print the differences."""
    result = check(ROLES)
    for line in result:
        print(line)
    return 1 if result else 0


if __name__ == "__main__":
    sys.exit(main())
