"""The role balancer has a variable for every setting of the balancer, and for no other."""

import re

import yaml

from balancer import settings
from tests.unit.roles.scripts import PROJECT

ROLE = PROJECT / "roles/balancer"
NAMES = [field.name for field in settings.fields()]


def test_the_settings_file_contains_every_setting() -> None:
    assert yaml.safe_load((ROLE / "vars/main.yml").read_text())["__balancer_settings"] == NAMES


def test_every_setting_is_a_variable_and_secrets_are_marked() -> None:
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {f"balancer_{name}" for name in NAMES} <= set(options)
    marked = {name for name in NAMES if options[f"balancer_{name}"].get("no_log")}
    assert marked == {field.name for field in settings.fields() if field.metadata["secret"]}


def test_the_edge_has_the_balancers_defaults() -> None:
    text = (PROJECT / "roles/nginx/vars/main.yml").read_text()
    known = dict(re.findall(r"balancer_([a-z_]+) \| default\(([0-9]+)\)", text))
    assert {name: float(value) for name, value in known.items()} == {
        name: next(field.default for field in settings.fields() if field.name == name)
        for name in ("body_limit_bytes", "create_timeout", "node_connect_timeout")
    }
