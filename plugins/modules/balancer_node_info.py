#!/usr/bin/python
"""List the registered nodes; runs on a balancer host."""

from pathlib import Path

from ansible.module_utils.balancer_cli import CommandError, call
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: balancer_node_info
short_description: List the nodes that are registered with the balancer
description: Returns every registered node with its admin and observed state, without secrets.
options:
  command:
    description: The balancer's command.
    type: path
    default: /usr/local/bin/balancer
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: List the registered nodes
  balancer_node_info:
  register: registered
"""

RETURN = r"""
nodes:
  description: The nodes; empty in check mode on a host without the balancer.
  returned: always
  type: list
  elements: dict
"""


def main() -> None:
    """Run as Ansible's module."""
    arguments = {"command": {"type": "path", "default": "/usr/local/bin/balancer"}}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if module.check_mode and not Path(module.params["command"]).exists():
        module.exit_json(changed=False, nodes=[])
    try:
        nodes = call(module, "node", "list")["nodes"]
    except (CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, nodes=nodes)


if __name__ == "__main__":
    main()
