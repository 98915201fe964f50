"""Faults of a node, or of the balancer's data about it."""

from __future__ import annotations

import json

from lab import network, ssh
from lab.command import wait_until
from lab.faults.changed_hosts import victim
from lab.state import Lab

SETTINGS = "/etc/bigbluebutton/bbb-web.properties"
#: Calls the simulated node's control API on the node's host, so that the secret stays there.
CONTROL = """
import re, sys, urllib.request
secret = re.findall(r"^securitySalt=(.*)$", open("/etc/bigbluebutton/bbb-web.properties").read(), re.MULTILINE)[-1]
method, path, body = sys.argv[1:]
request = urllib.request.Request(f"http://127.0.0.1:8090/simulator/{path}", body.encode() or None, method=method)
request.add_header("Authorization", f"Bearer {secret.strip()}")
request.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""
APPLY = "balancer node apply {name} --url https://{fqdn}/bigbluebutton/api --secret-stdin"


def freeze_statistics(lab: Lab) -> None:
    """Make the victim's getMeetings repeat its present answer forever; everything else works."""
    _control(lab, "POST", "misbehaviour", json.dumps({"kind": "frozen", "calls": ["getMeetings"]}))


def thaw_statistics(lab: Lab) -> None:
    _control(lab, "DELETE", "misbehaviour", "")


def cut_off(lab: Lab) -> None:
    """Drop all packets between the balancer and the victim."""
    for balancer in lab.in_group("balancer"):
        network.cut(lab, balancer, victim(lab))
    _await_notice(lab)


def heal(lab: Lab) -> None:
    network.heal(lab)


def register_wrong_secret(lab: Lab) -> None:
    _apply(lab, "not-the-secret-of-this-node")
    _await_notice(lab)


def register_right_secret(lab: Lab) -> None:
    _apply(lab, ssh.run_on(lab, victim(lab), f"sed -n 's/^securitySalt=//p' {SETTINGS}").strip())


def _apply(lab: Lab, secret: str) -> None:
    node = victim(lab)
    balancer = lab.in_group("balancer")[0]
    ssh.run_on(lab, balancer, APPLY.format(name=node.name, fqdn=lab.fqdn(node)), stdin=secret)


def _await_notice(lab: Lab) -> None:
    """Return once the balancer sees that the victim fails; before that, the acceptance suite cannot see it either."""
    node, balancer = victim(lab), lab.in_group("balancer")[0]

    def noticed() -> bool:
        shown = json.loads(ssh.run_on(lab, balancer, f"balancer node show {node.name} --format json"))
        return bool(shown["node"]["observed_state"] != "online")

    wait_until(noticed, what=f"the balancer sees that {node.name} fails", within=60)


def _control(lab: Lab, method: str, path: str, body: str) -> None:
    ssh.run_on(lab, victim(lab), f"python3 - {method} {path} '{body}'", stdin=CONTROL)
