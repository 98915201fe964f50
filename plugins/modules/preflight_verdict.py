"""Documentation of the action plugin of the same name, which runs on the controller."""

DOCUMENTATION = r"""
module: preflight_verdict
short_description: Judge what preflight found, and name host, variable and remedy
description:
  - Fails with every finding at once. Runs on the controller and never repeats a secret.
options:
  secrets:
    description: Secrets of the fleet, by the variable that holds them; a text or a list of texts.
    type: dict
    default: {}
  nodes:
    description:
      - What is known of each node - C(name), C(url), C(secret), C(server_url), C(machine_id), C(ssh_host_keys).
    type: list
    elements: dict
    default: []
  probes:
    description: What M(bbb_api_probe) found, each with the node's name as C(item), as a loop registers it.
    type: list
    elements: dict
    default: []
  asked_by:
    description: The host that asked.
    type: str
    default: the controller
  algorithm:
    description: Digest that the balancer uses towards nodes.
    type: str
    default: sha256
  clock_tolerance:
    description: Seconds that a node's clock may be off, as its answers show it.
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
  description: What was found, a sentence each.
  type: list
  returned: always
"""
