"""Environment files for the tests, made from the suite's example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path(__file__).parents[3] / "acceptance" / "expected" / "example.yml"


def content(**changes: Any) -> dict[str, Any]:
    """The example without an inventory and with the secrets in the file, with some keys changed."""
    values: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    for part in (values, *values["nodes"]):
        for key in ("secret_file", "secret_command"):
            part.pop(key, None)
        part["secret"] = "a-secret"
    del values["inventory"]
    return {**values, **changes}


def write(directory: Path, values: dict[str, Any]) -> Path:
    """Writes the values to a file and returns its path."""
    path = directory / "site.yml"
    path.write_text(yaml.safe_dump(values))
    return path
