"""The way of recordings on the hosts: who may write where, and is the share there."""

from __future__ import annotations

from acceptance.support.hosts import HANGS, Host, Hosts

SHARE = "/var/bigbluebutton"
MARKER = ".bbb-fleet-share"
OWNER = "bbb-fleet"
#: The account that nodes hand recordings over to, on the storage host.
SPOOL_ACCOUNT = "bbb-fleet-spool"
SPOOL_VARIABLE = "bbb_node_storage_spool"
SPOOL = "/srv/bbb-fleet/spool"
#: A node's own place for the mounted spool, where it hands over through NFS.
NODE_SPOOL_VARIABLE = "bbb_node_spool"
NODE_SPOOL = "/var/lib/bbb-fleet-handover/spool"
#: Write, link, rename, read and delete, as whoever hands over or takes in has to. A dot keeps importers away from it.
TRY = """
f="$1/.acceptance-$$" && echo probe >"$f" && ln "$f" "$f.linked" && rm "$f" &&
    mv "$f.linked" "$f.moved" && grep -q probe "$f.moved" && rm "$f.moved"
"""
#: Leaves nothing behind even where it may write.
TRESPASS = 'f="$1/.acceptance-$$" && touch "$f" && rm "$f"'


def spool_on(host: Host, hosts: Hosts) -> str:
    """Where the spool is on a storage host."""
    return hosts.variable(host.name, SPOOL_VARIABLE, SPOOL)


def has_mounted_spool(node: Host, hosts: Hosts) -> bool:
    """True if a node hands recordings over through NFS instead of ssh."""
    return hosts.variable(node.name, "bbb_node_transport", "ssh") == "nfs"


def cannot_write(host: Host, user: str, directory: str) -> str:
    """Why a user cannot write, link, rename, read and delete in a directory; empty if they can."""
    tried = host.as_user(user, TRY, directory)
    return "" if tried.ok else f"{host.name}: {user} cannot write to {directory}: {tried.errors.strip()[-200:]}"


def can_write(host: Host, user: str, directory: str) -> bool:
    """True if a user who must not can create a file in a directory."""
    return host.as_user(user, TRESPASS, directory).ok


def share_missing(host: Host) -> str:
    """What is wrong with the share on a host that needs it; empty if it is mounted and answers."""
    seen = host.patiently("stat", f"{SHARE}/{MARKER}")
    if seen.status == HANGS:
        return f"{host.name}: the share at {SHARE} hangs"
    return "" if seen.ok else f"{host.name}: the share is not mounted, {SHARE}/{MARKER} is not there"


def spool_troubles(hosts: Hosts) -> list[str]:
    """Who cannot write to the spool though they must, one line for each; needs an inventory."""
    tried = [cannot_write(host, SPOOL_ACCOUNT, spool_on(host, hosts)) for host in hosts.group("storage")]
    return [trouble for trouble in tried if trouble]
