"""tools/check_role_specs.py finds every way in which a role's spec and defaults disagree, and finds none in ours."""

from pathlib import Path

import pytest

from tools import check_role_specs

DEFAULTS = {"redis_port": 6379}
OPTIONS = {"redis_port": {"description": "TCP port.", "type": "int", "default": 6379}}


def test_our_roles_agree_with_their_specs() -> None:
    assert check_role_specs.check(check_role_specs.ROLES) == []


def test_agreement_is_silent() -> None:
    assert list(check_role_specs.differences("redis", DEFAULTS, OPTIONS)) == []


@pytest.mark.parametrize(
    ("defaults", "options", "expected"),
    [
        # Another value, as after a change in one file alone.
        ({"redis_port": 6380}, OPTIONS, "redis: redis_port: defaults say 6380, spec says 6379"),
        # A number and a text are not the same.
        ({"redis_port": "6379"}, OPTIONS, "redis: redis_port: defaults say '6379', spec says 6379"),
        # In one file alone.
        ({}, OPTIONS, "redis: redis_port: defaults say nothing, spec says 6379"),
        (DEFAULTS, {}, "redis: redis_port is in defaults, and missing in the spec"),
        # A required variable with a default would never be asked for.
        (
            {"redis_password": "x"},
            {"redis_password": {"description": "Password.", "required": True}},
            "redis: redis_password is required by the spec, and has a default",
        ),
        # Another role's name, or none.
        (
            {"port": 1},
            {"port": {"description": "Port.", "default": 1}},
            "redis: port does not begin with the role's name",
        ),
        # Nothing said about it.
        (DEFAULTS, {"redis_port": {"default": 6379}}, "redis: redis_port has no description in the spec"),
    ],
)
def test_disagreement_is_named(defaults: dict[str, object], options: dict[str, object], expected: str) -> None:
    assert list(check_role_specs.differences("redis", defaults, options)) == [expected]


def test_folding_makes_no_difference() -> None:
    options = {"redis_hosts": {"description": "Hosts.", "default": "{{ a | union(b) }}"}}
    assert list(check_role_specs.differences("redis", {"redis_hosts": "{{ a\n| union(b) }}\n"}, options)) == []


def test_a_role_without_a_spec_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    assert check_role_specs.check(tmp_path) == ["redis: has no meta/argument_specs.yml with an entry point main"]
