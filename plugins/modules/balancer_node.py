#!/usr/bin/python
"""Manage one node's registration with the balancer; runs on a balancer host and uses its command line."""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.balancer_cli import CommandError, call
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: balancer_node
short_description: Register a BigBlueButton node with the balancer and enable it
description:
  - C(present) creates or updates the registration. A new node is disabled; a known node keeps its admin state.
  - C(admitted) enables a node that was registered here and not enabled since. It never changes any other node.
  - Before a node is enabled, the module waits until the poller reports it online with a fresh load.
  - C(draining) and C(disabled) take effect at once.
  - The secret is passed on the command's standard input and appears in no diff.
options:
  name:
    description: The node's name in the balancer.
    type: str
    required: true
  state:
    description: Required state.
    type: str
    choices: [present, admitted, enabled, draining, disabled]
    default: present
  url:
    description: Base URL of the node's API; required for C(present).
    type: str
  secret:
    description: The node's shared secret; required for C(present).
    type: str
  weight:
    description: The node's capacity relative to other nodes.
    type: float
  tags:
    description: Tags that front ends may request; an empty list removes all tags.
    type: list
    elements: str
  soft_meetings:
    description: Number of meetings at which the node is avoided while others are below theirs; 0 is no limit.
    type: int
  hard_meetings:
    description: Number of meetings at which the node gets no new one; 0 is no limit.
    type: int
  soft_users:
    description:
      - Number of users, including expected ones, at which the node is avoided while others are below theirs.
      - 0 is no limit.
    type: int
  hard_users:
    description: Number of users, including expected ones, at which the node gets no new meeting; 0 is no limit.
    type: int
  online_timeout:
    description: Seconds to wait for the poller to report the node online before it is enabled.
    type: float
    default: 120
  fresh_within:
    description: Greatest age in seconds of the load report that counts as fresh.
    type: float
    default: 30
  command:
    description: The balancer's command.
    type: path
    default: /usr/local/bin/balancer
  awaiting_directory:
    description: Directory with a marker for each node that is registered and not enabled yet, for a later run.
    type: path
    default: /var/lib/bbb-fleet/awaiting-admission
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Register a node
  balancer_node:
    name: bbb1
    url: https://bbb1.example.org/bigbluebutton/api
    secret: "{{ bbb_node_secret }}"

- name: Enable it once it is online
  balancer_node:
    name: bbb1
    state: admitted
"""

RETURN = r"""
node:
  description: >-
    The node as the balancer reports it, without secrets. Empty in check mode for an unknown node, and for C(admitted)
    if there was nothing to do.
  returned: always
  type: dict
"""

#: Seconds between two checks of a node that is being enabled; well below any sensible poll interval.
CHECK_INTERVAL = 0.5
#: The command's value for a node without tags.
NO_TAGS = "none"
LIMITS = ("soft_meetings", "hard_meetings", "soft_users", "hard_users")
VERBS = {"enabled": "enable", "draining": "drain", "disabled": "disable"}


class NotAdmittedError(Exception):
    """The node did not come online in time; the message gives its last observed state."""


class Registration:
    """One node's registration, managed through the balancer's command."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.name: str = module.params["name"]
        self._awaiting = Path(module.params["awaiting_directory"]) / self.name

    def find(self) -> dict[str, Any] | None:
        """The node as the balancer reports it, or None if it is not registered."""
        nodes = call(self.module, "node", "list")["nodes"]
        return next((node for node in nodes if node["name"] == self.name), None)

    def register(self) -> dict[str, Any]:
        """Create or update the registration; return the module's result. Raises CommandError, OSError."""
        answer = self._apply("--check")
        if answer["changed"] and not self.module.check_mode:
            if answer["before"] is None:
                # Written first, so that the marker exists even if this run fails after the registration.
                self._awaiting.parent.mkdir(mode=0o750, exist_ok=True)
                self._awaiting.touch()
            answer = self._apply()
        before, after = answer["before"] or {}, answer["after"] or {}
        return {"changed": answer["changed"], "node": after, "diff": {"before": before, "after": after}}

    def _apply(self, *options: str) -> dict[str, Any]:
        parameters = self.module.params
        words = ["node", "apply", self.name, "--url", parameters["url"], "--secret-stdin"]
        if parameters["weight"] is not None:
            words += ["--weight", str(parameters["weight"])]
        if parameters["tags"] is not None:
            words += [word for tag in parameters["tags"] or [NO_TAGS] for word in ("--tag", tag)]
        for limit in LIMITS:
            if parameters[limit] is not None:
                words += [f"--{limit.replace('_', '-')}", str(parameters[limit])]
        return call(self.module, *words, *options, secret=parameters["secret"])

    def change_state(self, wanted: str) -> dict[str, Any]:
        """Set the admin state; return the module's result. Raises CommandError, NotAdmittedError, OSError."""
        if wanted == "admitted" and not self.module.check_mode and not self._awaiting.exists():
            return {"changed": False, "node": {}}
        node = self.find()
        if node is None:
            if self.module.check_mode:
                return {"changed": True, "node": {}}
            raise CommandError(f"node {self.name} is not registered with the balancer: register it first")
        if wanted == "admitted":
            wanted = "enabled" if self._is_awaiting(node) else node["admin_state"]
        if wanted == node["admin_state"]:
            return {"changed": False, "node": node}
        if not self.module.check_mode:
            self._set_state(wanted)
        after = {**node, "admin_state": wanted}
        shown = [{"admin_state": state["admin_state"]} for state in (node, after)]
        return {"changed": True, "node": after, "diff": {"before": shown[0], "after": shown[1]}}

    def _set_state(self, wanted: str) -> None:
        if wanted == "enabled":
            self._await_online()
        call(self.module, "node", VERBS[wanted], self.name)
        self._awaiting.unlink(missing_ok=True)

    def _is_awaiting(self, node: dict[str, Any]) -> bool:
        if node["admin_state"] == "disabled":
            return self._awaiting.exists()
        # An operator has set the state, and it stays as it is.
        if not self.module.check_mode:
            self._awaiting.unlink(missing_ok=True)
        return False

    def _await_online(self) -> None:
        deadline = time.monotonic() + self.module.params["online_timeout"]
        while True:
            node = call(self.module, "node", "show", self.name)["node"]
            if self._is_ready(node):
                return
            if time.monotonic() >= deadline:
                raise NotAdmittedError(self._explain(node))
            time.sleep(CHECK_INTERVAL)

    def _is_ready(self, node: dict[str, Any]) -> bool:
        age = node["snapshot_age"]
        fresh = age is not None and age <= self.module.params["fresh_within"]
        return bool(node["observed_state"] == "online" and fresh and node["load"] is not None)

    def _explain(self, node: dict[str, Any]) -> str:
        seconds = self.module.params["online_timeout"]
        return (
            f"node {self.name} stays disabled: within {seconds:g} s the poller did not report it online"
            " with a fresh load."
            f" Last observed: {node['observed_state']} ({node['reason'] or 'no reason given'}),"
            f" load {node['load']}, report {node['snapshot_age']} s old."
            " Check balancer-poller.service on the balancer hosts and the node, then run this play again."
        )


ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["present", "admitted", "enabled", "draining", "disabled"],
        "default": "present",
    },
    "url": {"type": "str"},
    "secret": {"type": "str", "no_log": True},
    "weight": {"type": "float"},
    "tags": {"type": "list", "elements": "str"},
    **{limit: {"type": "int"} for limit in LIMITS},
    "online_timeout": {"type": "float", "default": 120},
    "fresh_within": {"type": "float", "default": 30},
    "command": {"type": "path", "default": "/usr/local/bin/balancer"},
    "awaiting_directory": {"type": "path", "default": "/var/lib/bbb-fleet/awaiting-admission"},
}


def main() -> None:
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", "present", ("url", "secret"))],
        supports_check_mode=True,
    )
    if module.check_mode and not Path(module.params["command"]).exists():
        module.exit_json(changed=True, node={}, msg="the balancer is not installed yet; the node would be registered")
    registration = Registration(module)
    try:
        state = module.params["state"]
        result = registration.register() if state == "present" else registration.change_state(state)
    except (CommandError, NotAdmittedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
