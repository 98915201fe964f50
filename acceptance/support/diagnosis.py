"""Why a recording has not arrived: looks along its way and says in plain words where it stopped, on which host."""

from __future__ import annotations

from collections.abc import Iterator

from acceptance.support.environment import Node
from acceptance.support.hosts import HANGS, Host, Hosts
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved

SHARE = "/var/bigbluebutton"
MARKER = f"{SHARE}/.bbb-fleet-share"
#: The hand-over's own words about one recording; the last ones tell why it waits.
NODE_LOG = "journalctl --quiet --no-pager --output=cat --unit='bbb-fleet-handover*' | grep -F -- \"$1\" | tail -n 2"
#: Where the importer looks: its process environment wins over the settings file.
ROOT = """
pid=$(systemctl show --property=MainPID --value balancer-importer)
{ cat /etc/bbb-fleet/balancer.env; tr '\\0' '\\n' <"/proc/$pid/environ"; } |
    sed -n 's/^BALANCER_RECORDINGS_ROOT=//p' | tail -n 1
"""


def why_missing(hosts: Hosts, operator: Operator, node: Node, record_id: str) -> str:
    """What is found along the recording's way; needs an inventory, and says so where there is none."""
    try:
        return "; ".join(_findings(hosts, operator, node, record_id)) or "nothing along its way is out of order"
    except (AssertionError, NotProved) as error:
        return str(error)


def _findings(hosts: Hosts, operator: Operator, node: Node, record_id: str) -> Iterator[str]:
    yield _on_node(hosts.named(node.host), record_id)
    yield from (f"the balancer's queue says: {line}" for line in operator.queue_says(record_id))
    for host in hosts.group("balancer"):
        yield from _on_balancer(host, record_id)


def _on_node(host: Host, record_id: str) -> str:
    published = host.shell(f'ls -d {SHARE}/published/*/"$1"', record_id)
    if not published.ok:
        return f"{host.name} has not published it"
    last = host.shell(NODE_LOG, record_id).output.strip().replace("\n", " | ")
    return f"{host.name} has published it" + (f", its hand-over says: {last[-400:]}" if last else "")


def _on_balancer(host: Host, record_id: str) -> Iterator[str]:
    marker = host.patiently("stat", MARKER)
    if marker.status == HANGS:
        yield f"the share hangs on {host.name}"
        return
    if not marker.ok:
        yield f"the share is not mounted on {host.name}: {MARKER} is not there"
    if (state := host.run("systemctl", "is-active", "balancer-importer").output.strip()) != "active":
        yield f"the importer does not run on {host.name} (balancer-importer is {state or 'unknown'})"
    if (root := _importers_root(host)) != SHARE:
        yield f"the importer looks in {root} on {host.name}, nodes hand over to {SHARE}"
    waiting = host.shell(f'timeout 10 find {SHARE}/spool -name "*$1*"', record_id).output.split()
    for path in waiting:
        if path.endswith(".reason"):
            yield f"{host.name} refused it: {host.run('cat', path).output.strip()[:200]}"
    if waiting:
        yield f"it lies in {', '.join(waiting)} on {host.name}"
    else:
        yield f"nothing of it is in {SHARE}/spool on {host.name}"


def _importers_root(host: Host) -> str:
    return host.shell(ROOT).output.strip() or SHARE
