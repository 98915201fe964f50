"""Recordings over real NFS, between nspawn hosts if the kernel has NFS, else in User Mode Linux."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.support.eventually import eventually
from tests.deployed_cluster import DeployedCluster, changes, deployed

pytestmark = [pytest.mark.lab, pytest.mark.nfs, pytest.mark.slow]
#: The fewest hosts with both transports: bbb1 hands over by NFS, bbb2 by ssh.
HOSTS = ("storage1", "db1", "lb1", "bbb1", "bbb2")
SHARE = "/var/bigbluebutton"
SPOOL = "/var/lib/bbb-fleet-handover/spool"
MOUNT_UNIT = "'var-lib-bbb\\x2dfleet\\x2dhandover-spool.mount'"
RECORD = "0123456789abcdef0123456789abcdef01234567-1757000000123"
#: Seconds within which the checks that run every half minute, or after a first pause, have run again.
SOON = 90.0


@pytest.fixture(scope="module")
def nfs_cluster() -> Iterator[DeployedCluster]:
    """Five hosts that share by NFS, deployed by the roles."""
    with deployed("checknfs", "--nfs", *HOSTS) as cluster:
        yield cluster


def test_the_share_is_mounted_by_nfs_on_balancer_and_node(nfs_cluster: DeployedCluster) -> None:
    assert mounted(nfs_cluster, "lb1", SHARE) == "nfs4 storage1:/srv/bbb-fleet"
    assert mounted(nfs_cluster, "bbb1", SPOOL) == "nfs4 storage1:/srv/bbb-fleet/spool"
    assert mounted(nfs_cluster, "bbb2", SPOOL) == ""


@pytest.mark.parametrize("stage", ["storage", "nodes"])
def test_a_second_run_of_what_differs_with_nfs_changes_nothing(nfs_cluster: DeployedCluster, stage: str) -> None:
    assert changes(nfs_cluster.play_for_json(f"playbooks/{stage}.yml")) == {}


def test_without_its_mount_a_balancer_host_writes_nothing_and_goes_on_when_it_is_back(
    nfs_cluster: DeployedCluster,
) -> None:
    nfs_cluster.on("lb1", f"systemctl stop bbb-fleet-share.timer && umount {SHARE}")
    try:
        nfs_cluster.on("storage1", "tar -C /etc -cf /srv/bbb-fleet/spool/probe.tar hostname")
        since = nfs_cluster.on("lb1", "date +%s").strip()
        eventually(
            lambda: importer_says(nfs_cluster, since),
            lambda lines: f"the share is not mounted at {SHARE}. Mount it" in lines,
            within=SOON,
            otherwise=lambda lines: f"the importer does not report that its share is missing: {lines}",
        )
        assert_takes_no_file(nfs_cluster, "lb1", SHARE)
        assert "probe.tar" in nfs_cluster.on("storage1", "ls /srv/bbb-fleet/spool").split()
    finally:
        # The timer would do this within a minute.
        nfs_cluster.on("lb1", "systemctl start bbb-fleet-share.service bbb-fleet-share.timer")
    eventually(
        lambda: nfs_cluster.on("storage1", "ls /srv/bbb-fleet/spool/failed").split(),
        lambda names: "probe.tar.reason" in names,
        within=SOON,
        otherwise=lambda names: f"the importer does not continue once its share is back; failed/ contains {names}",
    )


def test_without_its_mount_a_node_keeps_a_recording_and_delivers_it_later(nfs_cluster: DeployedCluster) -> None:
    folder = f"{SHARE}/published/notes/{RECORD}"
    make = f"mkdir -p {folder} && echo '<recording/>' > {folder}/metadata.xml && chown -R bigbluebutton: {folder}"
    nfs_cluster.on("bbb1", f"systemctl stop bbb-fleet-handover.timer {MOUNT_UNIT}")
    try:
        nfs_cluster.on("bbb1", f"{make} && bbb-fleet-handover enqueue {RECORD}-notes")
        nfs_cluster.on("bbb1", "systemctl start bbb-fleet-handover.service")
        (waiting,) = queue(nfs_cluster)["pending"]
        assert waiting["error"].startswith(f"{SPOOL} is not mounted: ")
        assert_takes_no_file(nfs_cluster, "bbb1", SPOOL)
    finally:
        nfs_cluster.on("bbb1", f"systemctl start bbb-fleet-handover.timer {MOUNT_UNIT}")
    eventually(
        lambda: [item["name"] for item in queue(nfs_cluster)["delivered"]],
        lambda names: f"{RECORD}-notes" in names,
        within=SOON,
        otherwise=lambda names: f"bbb1 does not deliver once its spool is back, only {names}",
        every=2,
    )


@pytest.mark.browser
def test_a_recording_by_each_transport_is_accepted_and_mounts_return_after_a_restart(
    nfs_cluster: DeployedCluster, tmp_path: Path
) -> None:
    groups = [f"acceptance/infra/test_{group}.py" for group in ("storage", "balancer", "nodes")]
    environment = nfs_cluster.directory / "acceptance.yml"
    done = nfs_cluster.accept("acceptance/test_record.py", *groups, environment=environment, report=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "acceptance.html").read_text()
    ways = re.findall(r" of (\w+): presentation", report)
    assert sorted(ways) == ["bbb1", "bbb2"], ways


def test_a_node_s_spool_is_back_after_the_node_restarts(nfs_cluster: DeployedCluster) -> None:
    """The acceptance suite proves the same for balancer hosts, above."""
    nfs_cluster.lab("restart", "bbb1")
    eventually(
        lambda: mounted(nfs_cluster, "bbb1", SPOOL),
        lambda share: share == "nfs4 storage1:/srv/bbb-fleet/spool",
        within=SOON,
        otherwise=lambda share: f"bbb1 has {share or 'nothing'} at {SPOOL} after its restart",
        every=2,
    )


def mounted(cluster: DeployedCluster, host: str, path: str) -> str:
    """Type and source of the mount at a path; empty if there is none."""
    return " ".join(
        cluster.on(host, f"findmnt --noheadings --output FSTYPE,SOURCE --mountpoint {path} || true").split()
    )


def importer_says(cluster: DeployedCluster, since: str) -> str:
    """The importer's lines in lb1's journal since a time in seconds of the epoch."""
    return cluster.on("lb1", f"journalctl --quiet --output=cat --unit=balancer-importer --since=@{since}")


def assert_takes_no_file(cluster: DeployedCluster, host: str, path: str) -> None:
    """A mount point without its mount is empty, and even root cannot write to it."""
    answer = cluster.on(host, f"ls -A {path}; touch {path}/stray 2>&1 || true; ls -A {path}").strip()
    assert re.fullmatch("touch: [^\n]*: Operation not permitted", answer), answer


def queue(cluster: DeployedCluster) -> dict[str, Any]:
    """The recordings that wait on bbb1, and those that it has delivered."""
    content: dict[str, Any] = json.loads(cluster.on("bbb1", "bbb-fleet-handover status --format json"))
    return content
