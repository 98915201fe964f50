"""A lab's way up and down."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab import acceptance_environment, faults, inventory, kernel, machines, network, simulated_nodes, ssh, state
from lab.errors import LabError
from lab.faults import hanging_share
from lab.state import Host, Lab
from lab.topology import Topology

Report = Callable[[str], None]
# Hosts completed at the same time: the work is theirs, so more than a few only slow one another.
AT_ONCE = 4


def up(name: str, hosts: list[str], topology: Topology, *, nfs: bool, report: Report) -> Lab:
    """Bring the named hosts up beside those already there; whatever is in place is left alone.

    With `nfs` the recordings tree is shared by NFS even if the machine's kernel has none. If the machine cannot run
    User Mode Linux either, `report` gets the reason, and a bind mount takes its place.
    """
    if nfs and (reason := machines.why_no_nfs()):
        report(
            f"NFS is not possible on this machine, because {reason}. A bind mount shares the recordings tree instead."
        )
        nfs = False
    lab = _describe(name, hosts, topology, nfs=nfs)
    ssh.make_keys(lab)
    for host in lab.in_group("nodes"):
        simulated_nodes.make_secret(lab, host)
    inventory.write(lab, topology)
    acceptance_environment.write(lab, topology)
    with state.locked():
        kernel.change_settings()
    network.create(lab)
    for host in lab.hosts:
        machines.prepare(lab, host, topology)
        machines.start(lab, host)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for line in pool.map(lambda host: _complete(lab, host, topology), lab.hosts):
            report(line)
    return lab


def down(name: str, report: Report) -> None:
    """End every process of the lab and remove its mounts, network, names and files."""
    directory = state.STATE_ROOT / name
    hanging_share.let_go(directory)
    for host_directory in sorted((directory / "machines").glob("*")):
        machines.discard(name, host_directory)
    ssh.end_connections(directory)
    network.destroy(name)
    with state.locked():
        if directory.exists():
            shutil.rmtree(directory)
        if not state.all_names():
            kernel.restore_settings()
    report(f"lab {name} is down")


def status(name: str) -> dict[str, Any]:
    """The data that `lab status` shows; `hosts` is empty if the lab is not up."""
    lab = state.load(name)
    if lab is None:
        return {"version": 1, "lab": name, "subnet": None, "share": None, "hosts": []}
    found = [{**_plain(lab, host.name), "state": _state(lab, host.name)} for host in lab.hosts]
    return {
        "version": 1,
        "lab": name,
        "subnet": lab.subnet,
        "share": lab.share,
        "directory": str(lab.directory),
        "url": acceptance_environment.url(lab),
        "broken": faults.broken(lab),
        "hosts": found,
    }


def _complete(lab: Lab, host: Host, topology: Topology) -> str:
    """Wait for a host and bring it to what the lab is now; hosts that were there before learn of new ones."""
    machines.await_boot(lab, host)
    former = ssh.run_on(lab, host, "cat /etc/hosts")
    wanted = network.with_names(former, lab.name, network.names_for_hosts(lab))
    if wanted != former:
        ssh.run_on(lab, host, "cat > /etc/hosts", stdin=wanted)
    if "nodes" in host.groups:
        simulated_nodes.install(lab, host, topology.simulator)
    return f"{host.name:10} {host.address:15} {', '.join(host.groups)}"


def _describe(name: str, hosts: list[str], topology: Topology, *, nfs: bool) -> Lab:
    """Record what the lab will be before any of it is made."""
    for host in hosts:
        topology.kind_of(host)
    with state.locked():
        lab = state.load(name)
        if lab is None:
            if (state.STATE_ROOT / name).exists():
                raise LabError(f"lab {name} is half-made; take it down first: python -m lab down")
            subnet = state.choose_subnet(network.taken_networks())
            share = "nfs" if nfs or kernel.has_nfs() else "bind"
            lab = Lab(name, topology.domain.format(lab=name), topology.public_name, subnet, share=share)
        elif nfs and lab.share != "nfs":
            raise LabError(f"lab {name} is up without NFS; take it down before asking for it: python -m lab down")
        uml = lab.share == "nfs" and not kernel.has_nfs()
        lab = lab.with_hosts(hosts, topology, uml=uml)
        lab.save()
    return lab


def _plain(lab: Lab, name: str) -> dict[str, Any]:
    host = lab.host(name)
    return {
        "name": host.name,
        "fqdn": lab.fqdn(host),
        "address": host.address,
        "groups": list(host.groups),
        "machine": host.machine,
    }


def _state(lab: Lab, name: str) -> str:
    host = lab.host(name)
    if machines.process_of(lab, host) is None:
        return "stopped"
    return "running" if ssh.answers(lab, host) else "booting"
