"""Why a recording has not appeared: checks each stage that it passes and says where it stopped, on which host."""

from __future__ import annotations

from collections.abc import Iterator

from acceptance.support.environment import Node
from acceptance.support.hosts import HANGS, Host, Hosts
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.recording_directories import SHARE, find_marker, marker_error

#: The hand-over's log of one recording; the last lines say why it waits.
NODE_LOG = "journalctl --quiet --no-pager --output=cat --unit='bbb-fleet-handover*' | grep -F -- \"$1\" | tail -n 2"
#: The importer's directory: its process environment wins over the settings file.
ROOT = """
pid=$(systemctl show --property=MainPID --value balancer-importer)
{ cat /etc/bbb-fleet/balancer.env; tr '\\0' '\\n' <"/proc/$pid/environ"; } |
    sed -n 's/^BALANCER_RECORDINGS_ROOT=//p' | tail -n 1
"""


def why_missing(hosts: Hosts, operator: Operator, node: Node, record_id: str) -> str:
    """The findings in one line; says so if there is no inventory, without which hosts cannot be checked."""
    try:
        return "; ".join(_findings(hosts, operator, node, record_id))
    except (AssertionError, NotProved) as error:
        return str(error)


def _findings(hosts: Hosts, operator: Operator, node: Node, record_id: str) -> Iterator[str]:
    yield _on_node(hosts.named(node.host), record_id)
    yield from (f"the balancer's queue says: {line}" for line in operator.queue_lines(record_id))
    for host in hosts.group("balancer"):
        yield from _on_balancer(host, record_id)


def _on_node(host: Host, record_id: str) -> str:
    published = host.shell(f'ls -d {SHARE}/published/*/"$1"', record_id)
    if not published.ok:
        return f"{host.name} has not published it"
    last = host.shell(NODE_LOG, record_id).output.strip().replace("\n", " | ")
    return f"{host.name} has published it" + (f", its hand-over says: {last[-400:]}" if last else "")


def _on_balancer(host: Host, record_id: str) -> Iterator[str]:
    marker = find_marker(host)
    if error := marker_error(marker):
        yield error
    if marker.status == HANGS:
        return
    if (state := host.run("systemctl", "is-active", "balancer-importer").output.strip()) != "active":
        yield f"the importer does not run on {host.name} (balancer-importer is {state or 'unknown'})"
    if (root := host.shell(ROOT).output.strip() or SHARE) != SHARE:
        yield f"the importer looks in {root} on {host.name}, nodes hand over to {SHARE}"
    waiting = host.shell(f'timeout 10 find {SHARE}/spool -name "*$1*"', record_id).output.split()
    for path in waiting:
        if path.endswith(".reason"):
            yield f"{host.name} refused it: {host.run('cat', path).output.strip()[:200]}"
    if waiting:
        yield f"it is waiting on {host.name}: {', '.join(waiting)}"
    else:
        yield f"{SHARE}/spool on {host.name} has nothing of it"
