"""The lab's bridge, its route to the package mirror, its hosts' names, and cuts between two hosts."""

import json
from ipaddress import IPv4Network
from pathlib import Path

from lab import state
from lab.command import run
from lab.errors import LabError
from lab.state import Host, Lab

CONTROLLER_HOSTS = Path("/etc/hosts")


def taken_networks() -> list[IPv4Network]:
    """Networks in use on this machine: its routes, and the subnets of all labs, even of those whose bridge is down."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
    networks = [IPv4Network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
    for name in state.all_names():
        lab = state.load(name)
        if lab is not None:
            networks.append(IPv4Network(lab.subnet))
    return networks


def create(lab: Lab) -> None:
    """Create the bridge with its address, the masquerade and the names, as far as they are missing."""
    if not _has_bridge(lab):
        run(["ip", "link", "add", lab.bridge, "type", "bridge"])
    prefix = IPv4Network(lab.subnet).prefixlen
    run(["ip", "address", "replace", f"{lab.gateway}/{prefix}", "dev", lab.bridge])
    run(["ip", "link", "set", lab.bridge, "up"])
    run(["nft", "-f", "-"], stdin=_masquerade(lab))
    full_names = [f"{host.address} {lab.fqdn(host)}" for host in lab.hosts]
    write_names(CONTROLLER_HOSTS, lab.name, full_names + edge_names(lab))


def destroy(lab_name: str) -> None:
    """Remove whatever `create` made. Only the lab's name is needed, so this works for a half-made lab too."""
    for family, table in _tables(lab_name):
        run(["nft", "delete", "table", family, table])
    if (Path("/sys/class/net") / f"bf-{lab_name}").exists():
        run(["ip", "link", "delete", f"bf-{lab_name}"])
    remove_names(CONTROLLER_HOSTS, lab_name)


def remove_interface(name: str) -> None:
    """Remove the controller's end of a host's link; the kernel would remove it only some time after the host ends."""
    try:
        run(["ip", "link", "delete", "dev", name])
    except LabError:
        if any(
            name in (link["ifname"], *link.get("altnames", ())) for link in json.loads(run(["ip", "-json", "link"]))
        ):
            raise


def cut(lab: Lab, one: Host, other: Host) -> None:
    """Drop every packet between two hosts on the bridge. Neither host can see or undo that."""
    rules = [f"add table bridge {_table(lab.name)}"]
    rules.append(f"add chain bridge {_table(lab.name)} cuts {{ type filter hook forward priority 0; policy accept; }}")
    for source, target in ((one, other), (other, one)):
        rules.append(
            f"add rule bridge {_table(lab.name)} cuts ip saddr {source.address} ip daddr {target.address} drop"
        )
    run(["nft", "-f", "-"], stdin="\n".join(rules) + "\n")


def heal(lab: Lab) -> None:
    """Undo every cut of this lab."""
    if ("bridge", _table(lab.name)) in _tables(lab.name):
        run(["nft", "delete", "table", "bridge", _table(lab.name)])


def edge_names(lab: Lab) -> list[str]:
    """The line of a hosts file that gives the public name to the first edge host; none without an edge."""
    edges = lab.in_group("edge")
    return [f"{edges[0].address} {lab.public_host}"] if edges else []


def names_for_hosts(lab: Lab) -> list[str]:
    """Lines for /etc/hosts of every host, with the full name first because `hostname --fqdn` prints that one."""
    return [f"{host.address} {lab.fqdn(host)} {host.name}" for host in lab.hosts] + edge_names(lab)


def with_names(text: str, lab_name: str, lines: list[str]) -> str:
    """A hosts file's text with the lab's marked block replaced, or removed if there are no `lines`."""
    begin, end = f"# BEGIN bbb-fleet lab {lab_name}", f"# END bbb-fleet lab {lab_name}"
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line == begin:
            inside = True
        elif inside and line == end:
            inside = False
        elif not inside:
            kept.append(line)
    block = [begin, *lines, end] if lines else []
    return "\n".join([*kept, *block]) + "\n"


def write_names(path: Path, lab_name: str, lines: list[str]) -> None:
    """Write the lab's block into a hosts file of the controller or of a host's file system."""
    # Written in place, because in some environments /etc/hosts is a mount point and cannot be replaced.
    with state.locked("names"):
        former = path.read_text() if path.exists() else "127.0.0.1 localhost\n"
        path.write_text(with_names(former, lab_name, lines))


def remove_names(path: Path, lab_name: str) -> None:
    with state.locked("names"):
        former = path.read_text()
        if f"# BEGIN bbb-fleet lab {lab_name}\n" in former:
            path.write_text(with_names(former, lab_name, []))


def _has_bridge(lab: Lab) -> bool:
    return (Path("/sys/class/net") / lab.bridge).exists()


def _table(lab_name: str) -> str:
    return f"bbb-fleet-lab-{lab_name}"


def _tables(lab_name: str) -> list[tuple[str, str]]:
    listed = json.loads(run(["nft", "-j", "list", "tables"]))["nftables"]
    tables = [(entry["table"]["family"], entry["table"]["name"]) for entry in listed if "table" in entry]
    return [(family, table) for family, table in tables if table == _table(lab_name)]


def _masquerade(lab: Lab) -> str:
    # Only packets that leave the lab are masqueraded: hosts check each other's addresses in their packet filters.
    return f"""
add table ip {_table(lab.name)}
delete table ip {_table(lab.name)}
table ip {_table(lab.name)} {{
    chain way_out {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {lab.subnet} ip daddr != {lab.subnet} masquerade
    }}
}}
"""
