"""One setting, three spellings: the role knows every setting of the balancer, and no other."""

import yaml

from balancer import settings
from tests.unit.roles.scripts import PROJECT

ROLE = PROJECT / "roles/balancer"
NAMES = [field.name for field in settings.fields()]


def test_the_settings_file_holds_every_setting() -> None:
    assert yaml.safe_load((ROLE / "vars/main.yml").read_text())["__balancer_settings"] == NAMES


def test_every_setting_is_a_variable_and_secrets_are_marked() -> None:
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {f"balancer_{name}" for name in NAMES} <= set(options)
    marked = {name for name in NAMES if options[f"balancer_{name}"].get("no_log")}
    assert marked == {field.name for field in settings.fields() if field.metadata["secret"]}
