#!/usr/bin/python
"""Migrate the balancer's database to its release's schema; runs on a balancer host."""

from pathlib import Path

from ansible.module_utils.balancer_cli import CommandError, call
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: balancer_schema
short_description: Apply the balancer's pending database migrations
description: Runs C(balancer database check) first, so that it reports a change only if a migration was pending.
options:
  command:
    description: The balancer's command.
    type: path
    default: /usr/local/bin/balancer
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Migrate the database
  balancer_schema:
  run_once: true
"""

RETURN = r"""
pending:
  description: Names of the migrations that were pending.
  returned: always
  type: list
  elements: str
"""


def main() -> None:
    """Run as Ansible's module."""
    arguments = {"command": {"type": "path", "default": "/usr/local/bin/balancer"}}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if module.check_mode and not Path(module.params["command"]).exists():
        module.exit_json(changed=True, pending=[], msg="the balancer is not installed yet; its schema would be created")
    try:
        # Exit code 1 means that migrations are pending.
        pending = call(module, "database", "check", accept=(0, 1))["pending"]
        if pending and not module.check_mode:
            call(module, "database", "migrate")
    except (CommandError, OSError) as error:
        module.fail_json(msg=f"the database could not be migrated: {error}")
    module.exit_json(changed=bool(pending), pending=pending)


if __name__ == "__main__":
    main()
