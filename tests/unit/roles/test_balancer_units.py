"""The systemd units of the balancer's processes."""

import jinja2
import pytest
import yaml

from tests.unit.roles.scripts import PROJECT

ROLE = PROJECT / "roles/balancer"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())


def unit(process: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates/etc/systemd/system"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - no HTML
    )
    environment.filters["comment"] = "# {}".format
    template = environment.get_template("balancer-process.service.j2")
    given = {"ansible_managed": "", "item": process, "balancer_user": "bbb-fleet", "balancer_group": "bbb-fleet"}
    return template.render(VARIABLES | given)


def test_a_reload_checks_the_settings_before_the_workers_read_them() -> None:
    reloads = [line.partition("=")[2].split() for line in unit("web").splitlines() if line.startswith("ExecReload=")]
    (check, reload) = reloads
    assert check[0].endswith("/current/bin/balancer")
    assert check[1:] == ["settings", "show"]
    assert reload == ["/bin/kill", "-HUP", "$MAINPID"]


@pytest.mark.parametrize("process", ["poller", "importer"])
def test_a_process_without_reload_has_no_reload_command(process: str) -> None:
    assert "ExecReload" not in unit(process)
