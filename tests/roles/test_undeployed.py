"""Real hosts before they are deployed: a check of them goes to its end, preflight refuses what is wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.roles.conftest import LabFleet, Run, lab_command

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LAB = "undeployed"
HOSTS = ("lb1", "bbb1", "bbb2")
#: What makes bbb2 a copy of bbb1, as a virtual machine's snapshot would, and hides from it who takes its recordings.
COPIED = ("/etc/machine-id", "/etc/bigbluebutton/bbb-web.properties", "/etc/ssh/ssh_host_ecdsa_key.pub")
COPY = "hostname bbb1; sed -i /lb1/d /etc/hosts"
#: lb1's disks: one too small for recordings, one full where the database would be.
DISKS = """
mkdir -p /srv/bbb-fleet && mount -t tmpfs -o size=64m tmpfs /srv/bbb-fleet
mkdir -p /var/lib/postgresql && mount -t tmpfs -o size=8m tmpfs /var/lib/postgresql
head -c 16M /dev/zero >/var/lib/postgresql/full 2>/dev/null || test -s /var/lib/postgresql/full
"""
WRONG_SECRET = "Qm3xT8vLp2Wd9KfR6hZs"
#: What a host may have before we come: everything that the roles would install, and nothing of ours.
PACKAGES = (
    "ca-certificates chrony nftables nginx postgresql python3-cryptography python3-packaging python3-psycopg2 "
    "python3-venv redis-server rsync"
)
STAMP = "/run/before-preflight"
#: What the packages' own services write is not ours.
THEIRS = ("*/systemd/*", "/var/lib/postgresql/*", "/var/lib/redis/*")
CHANGED = " ".join(
    [
        f"find /etc /opt /root /srv /usr /var/lib /var/spool -xdev -newer {STAMP} -type f",
        *(f"! -path '{path}'" for path in THEIRS),
    ]
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFleet]:
    """Two nodes, and one host for everything else."""
    lab_command(LAB, "down")
    try:
        lab_command(LAB, "up", *HOSTS)
        inventory = tmp_path_factory.mktemp("undeployed") / "inventory"
        shutil.copytree(Path("/var/lib/bbb-fleet-lab") / LAB / "inventory", inventory)
        fleet = LabFleet(inventory, lab=LAB)
        _one_host_for_everything_else(fleet)
        yield fleet
    finally:
        lab_command(LAB, "down")


@pytest.fixture(scope="module")
def checked(fleet: LabFleet) -> Run:
    """A check of hosts that have every package and nothing of ours."""
    install = f"apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {PACKAGES}"
    fleet.host("lb1").check_output(install)
    _stamp(fleet)
    return fleet.run("site", options=("--check", "-e", "nfs_server_min_size_gb=1"))


def _stamp(fleet: LabFleet) -> None:
    for name in HOSTS:
        fleet.host(name).check_output("touch %s && sleep 0.1", STAMP)


@pytest.fixture(scope="module")
def refused(fleet: LabFleet, checked: Run) -> Run:
    """One run of preflight over hosts that all have something wrong with them."""
    _add_bbb1_once_more(fleet)
    first, second, rest = (fleet.host(name) for name in ("bbb1", "bbb2", "lb1"))
    first.check_output("ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key")
    for path in COPIED:
        second.check_output("printf %%s %s > %s", first.file(path).content_string, path)
    second.check_output(COPY)
    rest.check_output("sh -ec %s", DISKS)
    _stamp(fleet)
    return fleet.run("preflight", options=("-e", "nfs_server_min_size_gb=1"))


def _one_host_for_everything_else(fleet: LabFleet) -> None:
    with _hosts(fleet) as content:
        for group in content["all"]["children"].keys() - {"nodes"}:
            content["all"]["children"][group]["hosts"] = {"lb1": {}}


def _add_bbb1_once_more(fleet: LabFleet) -> None:
    """Put into the pool a node without ssh that is bbb1 under another name, with another secret."""
    with _hosts(fleet) as content:
        content["all"]["children"]["nodes"]["hosts"]["bbb3"] = {
            "bbb_node_managed": False,
            "bbb_node_url": f"https://bbb1.{LAB}.test/bigbluebutton/api",
            "bbb_node_secret": WRONG_SECRET,
        }


@contextmanager
def _hosts(fleet: LabFleet) -> Iterator[dict[str, Any]]:
    path = fleet.inventory / "hosts.yml"
    content = yaml.safe_load(path.read_text())
    yield content
    path.write_text(yaml.safe_dump(content))


def test_a_check_goes_to_its_end_where_packages_are_there(fleet: LabFleet, checked: Run) -> None:
    assert checked.status == 0, checked.output[-5000:]
    # Far enough to say what the first and the last role would write.
    for task in ("Create the fleet's groups", "Install the unit of nginx-recordings"):
        assert task in checked.output
    assert checked.changed.keys() == set(HOSTS)
    assert {name: fleet.host(name).check_output(CHANGED) for name in HOSTS} == dict.fromkeys(HOSTS, "")


@pytest.mark.parametrize(
    "words",
    [
        "bbb1 and bbb2 share the server URL: one is a copy of the other. Remedy: run bbb-conf --setip",
        "bbb1 and bbb2 share the API secret: one is a copy of the other. Remedy: run bbb-conf --setsecret",
        "bbb1 and bbb2 share the machine-id: one is a copy of the other. Remedy: on the copy remove /etc/machine-id",
        "bbb1 and bbb2 share an ssh host key: one is a copy of the other. Remedy: on the copy remove /etc/ssh/",
        "share the TLS certificate: one is a copy of the other. Remedy: give the copy a key",
        "bbb2 and bbb1 have the same host name bbb1: one may be a copy of the other. Give each its own name",
        "bbb3 does not answer lb1 (checksum)",
        "Remedy: compare securitySalt on the node (bbb-conf --secret) with bbb_node_secret",
        "bbb2 cannot resolve lb1, which it must connect to. Add the name to DNS or to its /etc/hosts",
        "lb1 has 0.1 GB for /srv/bbb-fleet",
        "nfs_server_min_size_gb requires 1",
        "lb1 has 0.0 GB free for /var/lib/postgresql/15/main, postgresql_min_free_gb requires",
    ],
)
def test_everything_wrong_is_told_in_one_run(refused: Run, words: str) -> None:
    verdict = refused.output[refused.output.rindex("Nothing was changed.") :]
    assert words in verdict, verdict


def test_no_host_is_changed(fleet: LabFleet, refused: Run) -> None:
    assert refused.status != 0
    # The vault file on the controller, which is completed first; it counts for whichever host is the first.
    assert sum(refused.changed.values()) == 1
    assert {name: fleet.host(name).check_output(CHANGED) for name in HOSTS} == dict.fromkeys(HOSTS, "")


def test_no_secret_is_told(fleet: LabFleet, refused: Run) -> None:
    own = (Path("/var/lib/bbb-fleet-lab") / LAB / "secrets" / "bbb1").read_text().strip()
    for secret in (own, WRONG_SECRET, *fleet.secrets()["balancer_secrets"]):
        assert secret not in refused.output
