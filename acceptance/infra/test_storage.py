"""The storage hosts: nodes can write to the spool, and other hosts and accounts have no access."""

from __future__ import annotations

import pytest

from acceptance.support import recording_directories
from acceptance.support.hosts import Host, Hosts

GROUP = "storage"
#: Exit status of ssh itself if it could not run the command.
SSH_FAILED = 255


def test_spool_is_writable_by_its_account(host: Host, hosts: Hosts) -> None:
    """the spool is writable by the account that nodes hand recordings over to"""
    error = recording_directories.cannot_write(
        host, recording_directories.SPOOL_ACCOUNT, recording_directories.spool_on(host, hosts)
    )
    assert not error, error


@pytest.mark.parametrize("directory", recording_directories.DIRECTORIES)
def test_recordings_are_closed_to_others(host: Host, hosts: Hosts, directory: str) -> None:
    """recordings are closed to every other account"""
    path = recording_directories.spool_on(host, hosts).removesuffix("spool") + directory
    assert host.run("test", "-d", path).ok, f"{host.name} has no {path}"
    assert not recording_directories.can_write(host, "nobody", path), f"{host.name}: nobody can write to {path}"


def test_spool_account_opens_nothing_else(host: Host, hosts: Hosts) -> None:
    """a node's key opens no shell on the storage host"""
    for node in hosts.group("nodes"):
        if recording_directories.has_mounted_spool(node, hosts):
            continue
        config = "/var/lib/bbb-fleet-handover/ssh/config"
        result = node.as_user("bigbluebutton", 'ssh -F "$1" bbb-fleet-spool id', config)
        assert result.status != SSH_FAILED, f"{node.name} does not reach {host.name}: {result.errors.strip()[-200:]}"
        assert "uid=" not in result.output, f"{node.name} can run commands on {host.name} with its key for recordings"


@pytest.mark.nfs
def test_share_is_not_exported_to_others(host: Host, unrelated_host: Host, hosts: Hosts) -> None:
    """the share is not exported to a host that does not need it"""
    exported = host.run("exportfs", "-s").succeeded().output
    address = hosts.address(unrelated_host.name)
    assert exported.strip(), f"{host.name} exports nothing"
    to_host = [line for line in exported.splitlines() if f" {address}(" in line or " *(" in line]
    share = [line for line in to_host if not line.split()[0].endswith("/spool")]
    assert not share, f"{host.name} exports the whole share to {unrelated_host.name}: {share[0].split('(')[0]}"
