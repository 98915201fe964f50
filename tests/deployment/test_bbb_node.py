"""The hand-over between a deployed node and its storage host, over real ssh."""

import json
import subprocess

import pytest

from tests.deployed_cluster import DeployedCluster

pytestmark = pytest.mark.lab
KEY = "/var/lib/bbb-fleet-handover/ssh/key"
SSH = "runuser -u bigbluebutton -- ssh -F /var/lib/bbb-fleet-handover/ssh/config -o BatchMode=yes"


def test_the_spool_can_be_reached(cluster: DeployedCluster) -> None:
    assert "bytes free" in cluster.on("bbb1", "bbb-fleet-handover", "check")


def test_the_key_stays_with_the_account_that_uses_it(cluster: DeployedCluster) -> None:
    assert cluster.on("bbb1", "stat", "--format=%a,%U", KEY).strip() == "600,bigbluebutton"


@pytest.mark.parametrize("request_words", ["id", "sh", "rsync --version", "commit x 1 2"])
def test_the_key_opens_nothing_else(cluster: DeployedCluster, request_words: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        cluster.on("bbb1", f"{SSH} bbb-fleet-spool {request_words}")
    assert json.loads(refused.value.stdout)["state"] == "refused"


def test_the_key_forwards_no_port(cluster: DeployedCluster) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        cluster.on("bbb1", f"{SSH} -W 127.0.0.1:22 bbb-fleet-spool")


def test_the_account_has_no_password_and_no_other_keys(cluster: DeployedCluster) -> None:
    rules = cluster.on("storage1", "sshd", "-T", "-C", "user=bbb-fleet-spool,host=x,addr=10.0.0.1")
    assert "authenticationmethods publickey" in rules
    assert "authorizedkeysfile /etc/ssh/bbb-fleet-spool.keys" in rules


def test_every_node_has_a_key_of_its_own(cluster: DeployedCluster) -> None:
    keys = cluster.on("storage1", "cat", "/etc/ssh/bbb-fleet-spool.keys").splitlines()
    assert len(keys) == len(set(keys)) == 3
    assert all(key.startswith("restrict,command=") for key in keys)


def test_an_archive_survives_a_storage_host_that_is_away(cluster: DeployedCluster) -> None:
    """The hook's note stays on the node until the storage host's ssh is back."""
    record = "0123456789abcdef0123456789abcdef01234567-1757000000123"
    folder = f"/var/bigbluebutton/published/notes/{record}"
    make = f"mkdir -p {folder} && echo '<recording/>' > {folder}/metadata.xml && chown -R bigbluebutton: {folder}"
    cluster.on("bbb1", make)
    cluster.on("storage1", "systemctl stop ssh.service ssh.socket")
    try:
        hook = "/usr/local/bigbluebutton/core/scripts/post_publish/post_publish_bbb_fleet.rb"
        cluster.on("bbb1", f"runuser -u bigbluebutton -- ruby {hook} -m {record} -f notes")
        cluster.on("bbb1", "systemctl start bbb-fleet-handover.service")
        assert _state(cluster, record) == "pending"
    finally:
        cluster.lab("restart", "storage1")
    cluster.on("bbb1", f"bbb-fleet-handover enqueue {record}-notes")
    cluster.on("bbb1", "systemctl start bbb-fleet-handover.service")
    assert _state(cluster, record) == "delivered"


def _state(cluster: DeployedCluster, record: str) -> str:
    queue = json.loads(cluster.on("bbb1", "bbb-fleet-handover", "status", "--format", "json"))
    for place in ("pending", "delivered"):
        if any(item["name"].startswith(record) for item in queue[place]):
            return place
    return "unknown"
