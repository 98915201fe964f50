"""The facts about the cluster that a change keeps on record: versions, owner, rollback point, time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from acceptance.support.environment import Environment
from acceptance.support.hosts import Hosts
from acceptance.support.operator import NodeState, Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.report import Head

RELEASE = "sed -n 's/^BIGBLUEBUTTON_RELEASE=//p' /etc/bigbluebutton/bigbluebutton-release"
SHARES = {"nfs": "real NFS", "bind": "a bind mount on one machine: NFS itself is not proved here"}


def head(
    environment: Environment, operator: Operator, hosts: Hosts, *, owner: str | None, rollback_point: str | None
) -> Head:
    """The report's head; what cannot be found out is said to be unknown, with the reason."""
    lines = [
        ("Environment", environment.name),
        ("Endpoint", environment.url),
        ("Time", datetime.now().astimezone().isoformat(timespec="seconds")),
        ("Owner", owner or environment.owner),
        ("Rollback point", rollback_point or environment.rollback_point),
        ("Connector version", environment.connector_version),
        ("Balancer version", _known(lambda: operator.balancer_version)),
        ("Node versions", _known(lambda: ", ".join(_version(node, environment, hosts) for node in operator.nodes()))),
        ("Recordings share", SHARES[environment.share]),
        ("Disruptive scenarios", "run" if environment.disruptive else "not run"),
    ]
    return Head(tuple(lines))


def _version(node: NodeState, environment: Environment, hosts: Hosts) -> str:
    # BBB's API tells its version only where its administrator allowed that; its host always does.
    version = node.bbb_version
    if not version and hosts.known and node.name in {each.name for each in environment.nodes}:
        version = hosts.named(environment.node(node.name).host).shell(RELEASE).output.strip()
    return f"{node.name} {version or 'unknown'}"


def _known(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except (AssertionError, NotProved) as error:
        return f"unknown: {error}"
