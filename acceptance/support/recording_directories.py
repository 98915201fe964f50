"""The directories that recordings pass through on the hosts: whether they are there, and who may write to them."""

from __future__ import annotations

from acceptance.support.hosts import HANGS, CommandResult, Host, Hosts

SHARE = "/var/bigbluebutton"
MARKER = f"{SHARE}/.bbb-fleet-share"
DIRECTORIES = ("spool", "published", "unpublished", "deleted")
#: The account of the balancer's processes.
OWNER = "bbb-fleet"
#: The account on the storage host that nodes hand recordings over to.
SPOOL_ACCOUNT = "bbb-fleet-spool"
SPOOL_VARIABLE = "bbb_node_storage_spool"
SPOOL = "/srv/bbb-fleet/spool"
#: Where a node mounts the spool if it hands recordings over through NFS.
NODE_SPOOL_VARIABLE = "bbb_node_spool"
NODE_SPOOL = "/var/lib/bbb-fleet-handover/spool"
#: Writes, links, renames, reads and deletes a file, as hand-over and import do. Importers ignore names with a dot.
USE_DIRECTORY = """
f="$1/.acceptance-$$" && echo probe >"$f" && ln "$f" "$f.linked" && rm "$f" &&
    mv "$f.linked" "$f.moved" && grep -q probe "$f.moved" && rm "$f.moved"
"""
#: Creates a file and removes it again.
CREATE_FILE = 'f="$1/.acceptance-$$" && touch "$f" && rm "$f"'


def spool_on(host: Host, hosts: Hosts) -> str:
    """Path of the spool on a storage host."""
    return hosts.variable(host.name, SPOOL_VARIABLE, SPOOL)


def has_mounted_spool(node: Host, hosts: Hosts) -> bool:
    """True if a node hands recordings over through NFS instead of ssh."""
    return hosts.variable(node.name, "bbb_node_transport", "ssh") == "nfs"


def cannot_write(host: Host, user: str, directory: str) -> str:
    """Why a user cannot write, link, rename, read and delete in a directory; empty if they can."""
    result = host.as_user(user, USE_DIRECTORY, directory)
    return "" if result.ok else f"{host.name}: {user} cannot write to {directory}: {result.errors.strip()[-200:]}"


def can_write(host: Host, user: str, directory: str) -> bool:
    """True if a user can create a file in a directory."""
    return host.as_user(user, CREATE_FILE, directory).ok


def find_marker(host: Host) -> CommandResult:
    """Whether the share's marker is there; status HANGS if the share does not answer."""
    return host.run_or_hang("stat", MARKER)


def marker_error(marker: CommandResult) -> str:
    """What the result of `find_marker` says is wrong; empty if nothing is."""
    if marker.status == HANGS:
        return f"the share hangs on {marker.host}"
    return "" if marker.ok else f"the share is not mounted on {marker.host}: {MARKER} is not there"


def share_error(host: Host) -> str:
    """What is wrong with the share on a balancer host; empty if it is mounted and answers."""
    return marker_error(find_marker(host))


def spool_errors(hosts: Hosts) -> list[str]:
    """One line for each storage host whose spool account cannot write; needs an inventory."""
    errors = [cannot_write(host, SPOOL_ACCOUNT, spool_on(host, hosts)) for host in hosts.group("storage")]
    return [error for error in errors if error]
