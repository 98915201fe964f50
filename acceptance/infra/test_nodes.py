"""The nodes: the post-publish hook never delays BBB, and its key, spool and queue are closed to others."""

from __future__ import annotations

from acceptance.support import recording_directories
from acceptance.support.hosts import Host, Hosts

GROUP = "nodes"
HOOKS = "/usr/local/bigbluebutton/core/scripts/post_publish"
ACCOUNT = "bigbluebutton"
KEY = "/var/lib/bbb-fleet-handover/ssh/key"


def test_hook_never_fails(host: Host) -> None:
    """the hook exits 0 at once, even for a recording that does not exist"""
    result = host.as_user(
        ACCOUNT,
        'cd "$1" && for hook in *bbb_fleet*.rb; do timeout 20 ruby "$hook" -m "$2" -f presentation || exit 1; done',
        HOOKS,
        f"{'0' * 40}-1000000000000",
    )
    assert result.ok, f"{host.name}: the post-publish hook fails: {(result.errors or result.output).strip()[-200:]}"


def test_spool_access_is_closed_to_others(host: Host, hosts: Hosts) -> None:
    """only BBB's account can use the node's access to the spool: its key, or the mounted spool"""
    if recording_directories.has_mounted_spool(host, hosts):
        spool = hosts.variable(host.name, recording_directories.NODE_SPOOL_VARIABLE, recording_directories.NODE_SPOOL)
        error = recording_directories.cannot_write(host, ACCOUNT, spool)
        assert not error, error
        assert not recording_directories.can_write(host, "nobody", spool), f"{host.name}: nobody can write to {spool}"
        return
    assert host.run("test", "-e", KEY).ok, f"{host.name} has no {KEY}"
    assert not host.as_user("nobody", 'test -r "$1"', KEY).ok, f"{host.name}: nobody can read {KEY}"


def test_queue_is_closed_to_others(host: Host) -> None:
    """only BBB's account can put recordings into the queue"""
    queue = "/var/lib/bbb-fleet-handover"
    assert not host.as_user("nobody", 'touch "$1/.acceptance"', queue).ok, f"{host.name}: nobody can write to {queue}"
