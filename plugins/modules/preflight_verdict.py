"""Documentation of the action plugin of the same name, which runs on the controller."""

DOCUMENTATION = r"""
module: preflight_verdict
short_description: Check secrets and nodes, and report host, variable and remedy
description:
  - Fails with all findings at once. Runs on the controller and never returns a secret.
options:
  secrets:
    description: Secrets of the fleet by variable, each a text or a list of texts.
    type: dict
    default: {}
  nodes:
    description:
      - Each node's C(name), C(url), C(secret), C(server_url), C(machine_id) and C(ssh_host_keys).
    type: list
    elements: dict
    default: []
  probes:
    description: Results of M(bbb_api_probe) as a loop registers them, with the node's name as C(item).
    type: list
    elements: dict
    default: []
  asked_by:
    description: The host that called the nodes.
    type: str
    default: the controller
  algorithm:
    description: Checksum algorithm that the balancer uses for calls to nodes.
    type: str
    default: sha256
  clock_tolerance:
    description: Greatest difference in seconds between a node's clock and that of the host that called it.
    type: float
    default: 2.0
attributes:
  check_mode:
    support: full
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Refuse placeholder secrets
  preflight_verdict:
    secrets:
      redis_password: "{{ redis_password }}"
"""

RETURN = r"""
findings:
  description: The findings, one text each.
  type: list
  returned: always
"""
