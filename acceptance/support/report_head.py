"""The head of the report: versions, owner, rollback point, time and the like, to be kept with the change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from acceptance.support.environment import Environment
from acceptance.support.hosts import Hosts
from acceptance.support.operator import NodeState, Operator
from acceptance.support.outcomes import NotProved

RELEASE = "sed -n 's/^BIGBLUEBUTTON_RELEASE=//p' /etc/bigbluebutton/bigbluebutton-release"
SHARES = {"nfs": "real NFS", "bind": "a bind mount on one machine: NFS itself is not proved here"}


@dataclass(frozen=True)
class Head:
    """Pairs of a name and a value, as the page shows them."""

    lines: tuple[tuple[str, str], ...]

    def properties(self) -> Iterable[tuple[str, str]]:
        """The same pairs with names as junit.xml writes them, such as `rollback_point`."""
        return ((name.lower().replace(" ", "_"), value) for name, value in self.lines)


def read_head(
    environment: Environment, operator: Operator, hosts: Hosts, *, owner: str | None, rollback_point: str | None
) -> Head:
    """Asks the cluster; a value that cannot be read is "unknown: " and the reason."""
    lines = [
        ("Environment", environment.name),
        ("Endpoint", environment.url),
        ("Time", datetime.now().astimezone().isoformat(timespec="seconds")),
        ("Owner", owner or environment.owner),
        ("Rollback point", rollback_point or environment.rollback_point),
        ("Connector version", environment.connector_version),
        ("Balancer version", _or_unknown(lambda: operator.balancer_version)),
        ("Node versions", _or_unknown(lambda: _node_versions(environment, operator, hosts))),
        ("Recordings share", SHARES[environment.share]),
        ("Disruptive scenarios", "run" if environment.disruptive else "not run"),
    ]
    return Head(tuple(lines))


def _node_versions(environment: Environment, operator: Operator, hosts: Hosts) -> str:
    return ", ".join(_version(node, environment, hosts) for node in operator.nodes())


def _version(node: NodeState, environment: Environment, hosts: Hosts) -> str:
    # BBB's API shows its version only if the administrator allows that; the file on the host always has it.
    version = node.bbb_version
    if not version and hosts.known and node.name in {each.name for each in environment.nodes}:
        version = hosts.named(environment.node(node.name).host).shell(RELEASE).output.strip()
    return f"{node.name} {version or 'unknown'}"


def _or_unknown(read: Callable[[], str]) -> str:
    try:
        return read()
    except (AssertionError, NotProved) as error:
        return f"unknown: {error}"
