"""docs/reference/api.md: every call with its methods, and every key that is an answer of ours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

PROJECT = Path(__file__).parents[3]
PAGE = (PROJECT / "docs/reference/api.md").read_text()
API = "/bigbluebutton/api"


def rows(heading: str) -> dict[str, str]:
    """First column to second of the table that begins with this heading; a first column may name several."""
    lines = iter(PAGE.splitlines())
    found: dict[str, str] = {}
    assert any(line.startswith(f"| {heading} |") for line in lines), f"no table of {heading}"
    for line in lines:
        if not line.startswith("|"):
            break
        first, second = [cell.strip() for cell in line.split("|")[1:3]]
        found |= dict.fromkeys(first.replace("`", "").split(", "), second)
    return found


def documented_calls() -> dict[str, set[str]]:
    calls = {name: set(re.findall(r"GET|POST", methods)) for name, methods in rows("call").items()}
    return {name: methods for name, methods in calls.items() if methods}


def keys_in(source: str) -> Iterator[str]:
    """Keys of our error classes, keys given to one when it is raised, keys of answers written out."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=[ast.Name(id="message_key")], value=ast.Constant(value=str(key))):
                yield key
            case ast.Call(func=ast.Name(id="BBBError" | "ValidationError"), args=[_, ast.Constant(value=str(key))]):
                yield key
            case ast.Call(args=[ast.Constant(value="messageKey"), ast.Constant(value=str(key))]):
                yield key
            case ast.Dict(keys=[_, ast.Constant(value="messageKey"), *_], values=[_, ast.Constant(value=str(key)), *_]):
                yield key


def test_every_call_stands_there_with_its_methods(app: Flask) -> None:
    routed = {
        rule.rule.removeprefix(API).removeprefix("/") or "(index)": (rule.methods or set()) - {"HEAD"}
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(API)
    }
    assert documented_calls() == routed


def test_every_key_stands_there() -> None:
    found = {key for path in (PROJECT / "balancer").rglob("*.py") for key in keys_in(path.read_text())}
    assert found - set(rows("key")) == set()


def test_the_keys_are_found() -> None:
    errors = set(keys_in((PROJECT / "balancer/errors.py").read_text()))
    assert {"internalError", "checksumError", "serverUnavailable"} <= errors
    recordings = set(keys_in((PROJECT / "balancer/web/recordings.py").read_text()))
    assert recordings == {"noRecordings", "missingParamRecordID", "missingParamPublish"}
