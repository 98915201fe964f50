"""tools/check_role_specs.py finds every difference between a role's spec and defaults, and none in our roles."""

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
        # Another value, as after a change in only one file.
        ({"redis_port": 6380}, OPTIONS, "redis: redis_port: defaults have 6380, spec has 6379"),
        # A number and a text differ.
        ({"redis_port": "6379"}, OPTIONS, "redis: redis_port: defaults have '6379', spec has 6379"),
        # In only one file.
        ({}, OPTIONS, "redis: redis_port: defaults have nothing, spec has 6379"),
        (DEFAULTS, {}, "redis: redis_port is in the defaults and missing in the spec"),
        # With a default, a required variable would never be missing.
        (
            {"redis_password": "x"},
            {"redis_password": {"description": "Password.", "required": True}},
            "redis: redis_password is required by the spec and has a default",
        ),
        # Without the role's name.
        (
            {"port": 1},
            {"port": {"description": "Port.", "default": 1}},
            "redis: port does not begin with the role's name",
        ),
        # Without a description.
        (DEFAULTS, {"redis_port": {"default": 6379}}, "redis: redis_port has no description in the spec"),
    ],
)
def test_a_difference_is_reported(defaults: dict[str, object], options: dict[str, object], expected: str) -> None:
    assert list(check_role_specs.differences("redis", defaults, options)) == [expected]


def test_folding_makes_no_difference() -> None:
    options = {"redis_hosts": {"description": "Hosts.", "default": "{{ a | union(b) }}"}}
    assert list(check_role_specs.differences("redis", {"redis_hosts": "{{ a\n| union(b) }}\n"}, options)) == []


def test_a_role_without_a_spec_is_reported(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    assert check_role_specs.check(tmp_path) == ["redis: has no meta/argument_specs.yml with an entry point main"]
