"""The nodes: the hook never stands in BBB's way, and what it needs is closed to others."""

from __future__ import annotations

from acceptance.support import way
from acceptance.support.hosts import Host, Hosts

GROUP = "nodes"
HOOKS = "/usr/local/bigbluebutton/core/scripts/post_publish"
ACCOUNT = "bigbluebutton"
KEY = "/var/lib/bbb-fleet-handover/ssh/key"


def test_hook_stays_out_of_the_way(host: Host) -> None:
    """the hook exits 0 at once, also for a recording that is not there"""
    tried = host.as_user(
        ACCOUNT,
        'cd "$1" && for hook in *bbb_fleet*.rb; do timeout 20 ruby "$hook" -m "$2" -f presentation || exit 1; done',
        HOOKS,
        f"{'0' * 40}-1000000000000",
    )
    assert tried.ok, f"{host.name}: the post-publish hook fails: {(tried.errors or tried.output).strip()[-200:]}"


def test_way_to_the_spool_is_closed_to_others(host: Host, hosts: Hosts) -> None:
    """only BBB's account can use the node's way to the spool: its key, or the mounted spool"""
    if way.has_mounted_spool(host, hosts):
        spool = hosts.variable(host.name, way.NODE_SPOOL_VARIABLE, way.NODE_SPOOL)
        trouble = way.cannot_write(host, ACCOUNT, spool)
        assert not trouble, trouble
        assert not way.can_write(host, "nobody", spool), f"{host.name}: nobody can write to {spool}"
        return
    assert host.run("test", "-e", KEY).ok, f"{host.name} has no {KEY}"
    assert not host.as_user("nobody", 'test -r "$1"', KEY).ok, f"{host.name}: nobody can read {KEY}"


def test_queue_is_closed_to_others(host: Host) -> None:
    """only BBB's account puts recordings into the queue"""
    queue = "/var/lib/bbb-fleet-handover"
    assert not host.as_user("nobody", 'touch "$1/.acceptance"', queue).ok, f"{host.name}: nobody can write to {queue}"
