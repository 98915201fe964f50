"""The storage hosts' promises: the spool takes what nodes hand over, and nobody else gets in."""

from __future__ import annotations

import pytest

from acceptance.support import way
from acceptance.support.hosts import Host, Hosts

GROUP = "storage"
#: ssh's own status, when no command was run at all.
SSH_FAILED = 255


def test_spool_is_writable_by_who_must(host: Host, hosts: Hosts) -> None:
    """the spool is writable by the account that nodes hand over to"""
    trouble = way.cannot_write(host, way.SPOOL_ACCOUNT, way.spool_on(host, hosts))
    assert not trouble, trouble


@pytest.mark.parametrize("directory", ["spool", "published", "unpublished", "deleted"])
def test_recordings_are_closed_to_others(host: Host, hosts: Hosts, directory: str) -> None:
    """recordings are closed to every other account"""
    path = way.spool_on(host, hosts).removesuffix("spool") + directory
    assert host.run("test", "-d", path).ok, f"{host.name} has no {path}"
    assert not way.can_write(host, "nobody", path), f"{host.name}: nobody can write to {path}"


def test_spool_account_opens_nothing_else(host: Host, hosts: Hosts) -> None:
    """a node's key opens no shell on the storage host"""
    for node in hosts.group("nodes"):
        if way.has_mounted_spool(node, hosts):
            continue
        config = "/var/lib/bbb-fleet-handover/ssh/config"
        tried = node.as_user("bigbluebutton", 'ssh -F "$1" bbb-fleet-spool id', config)
        assert tried.status != SSH_FAILED, f"{node.name} does not reach {host.name}: {tried.errors.strip()[-200:]}"
        assert "uid=" not in tried.output, f"{node.name} can run commands on {host.name} with its key for recordings"


@pytest.mark.nfs
def test_share_is_exported_to_nobody_else(host: Host, stranger: Host, hosts: Hosts) -> None:
    """the share is not exported to a host that does not need it"""
    exported = host.run("exportfs", "-s").succeeded().output
    address = hosts.address(stranger.name)
    assert exported.strip(), f"{host.name} exports nothing"
    wide = [line for line in exported.splitlines() if f" {address}(" in line or " *(" in line]
    whole = [line for line in wide if not line.split()[0].endswith("/spool")]
    assert not whole, f"{host.name} exports the whole share to {stranger.name}: {whole[0].split('(')[0]}"
