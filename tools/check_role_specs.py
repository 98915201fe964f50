"""Compare each role's argument spec with its defaults: names and values must agree.

A variable that is in the spec alone must be required, or left unset on purpose; one that is in the defaults alone is
unknown to preflight. Prints one line for each disagreement and exits 1, or prints nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
ABSENT = object()
# A node's own variables are named after what the balancer calls them: registration is one of the role's stages.
OTHER_PREFIXES = {"bbb_node": ("balancer_node_",)}


def load(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, empty if the file is not there."""
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def plain(value: Any) -> Any:
    """A default as it is compared: how a template is folded into lines makes no difference."""
    return " ".join(value.split()) if isinstance(value, str) else value


def differences(role: str, defaults: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    """One sentence for each variable on which the two files of a role disagree."""
    for name in sorted(defaults.keys() | options.keys()):
        option = options.get(name)
        default = plain(defaults.get(name, ABSENT))
        if not name.startswith((f"{role}_", *OTHER_PREFIXES.get(role, ()))):
            yield f"{role}: {name} does not begin with the role's name"
        elif option is None:
            yield f"{role}: {name} is in defaults, and missing in the spec"
        elif not option.get("description"):
            yield f"{role}: {name} has no description in the spec"
        elif option.get("required"):
            if default is not ABSENT:
                yield f"{role}: {name} is required by the spec, and has a default"
        elif default != (specified := plain(option.get("default", ABSENT))):
            yield f"{role}: {name}: defaults say {words(default)}, spec says {words(specified)}"


def words(value: Any) -> str:
    """A default as a person reads it."""
    return "nothing" if value is ABSENT else repr(value)


def check(roles: Path) -> list[str]:
    """Every disagreement below the folder of roles."""
    found: list[str] = []
    for role in sorted(path for path in roles.iterdir() if path.is_dir()):
        specs = load(role / "meta" / "argument_specs.yml").get("argument_specs", {})
        if "main" not in specs:
            found.append(f"{role.name}: has no meta/argument_specs.yml with an entry point main")
            continue
        options = specs["main"].get("options", {})
        found += differences(role.name, load(role / "defaults" / "main.yml"), options)
    return found


def main() -> int:
    """Print what disagrees."""
    found = check(ROLES)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
