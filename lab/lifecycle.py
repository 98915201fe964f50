"""A lab's way up and down."""

import shutil
from collections.abc import Callable
from typing import Any

from lab import inventory, kernel, machines, network, ssh, state
from lab.errors import LabError
from lab.state import Lab
from lab.topology import Topology

Report = Callable[[str], None]


def up(name: str, hosts: list[str], topology: Topology, *, nfs: bool, report: Report) -> Lab:
    """Bring the named hosts up beside those already there; whatever is in place is left alone.

    With `nfs` the recordings tree is shared by NFS even where the machine's kernel has none.
    """
    lab = _describe(name, hosts, topology, nfs=nfs)
    ssh.make_keys(lab)
    network.create(lab)
    for host in lab.hosts:
        machines.prepare(lab, host, topology)
        machines.start(lab, host)
    inventory.write(lab)
    for host in lab.hosts:
        machines.await_boot(lab, host)
        report(f"{host.name:10} {host.address:15} {', '.join(host.groups)}")
    return lab


def down(name: str, report: Report) -> None:
    """End every process of the lab and remove its mounts, network, names and files."""
    directory = state.STATE_ROOT / name
    for host_directory in sorted((directory / "machines").glob("*")):
        machines.discard(name, host_directory)
    network.destroy(name)
    if directory.exists():
        shutil.rmtree(directory)
    report(f"lab {name} is down")


def status(name: str) -> dict[str, Any]:
    """What `lab status` tells, as data; `hosts` is empty where the lab is not up."""
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
        "url": f"https://{lab.public_host}/bigbluebutton/api",
        "hosts": found,
    }


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
        uml = topology.uml if lab.share == "nfs" and not kernel.has_nfs() else ()
        lab = lab.with_hosts(hosts, topology, uml)
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
