"""Real hosts before deployment: a check of them completes, and preflight refuses what is wrong with them."""

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
#: Makes bbb2 a copy of bbb1, as a virtual machine's snapshot would be; COPY also removes lb1's address from it.
COPIED = ("/etc/machine-id", "/etc/bigbluebutton/bbb-web.properties", "/etc/ssh/ssh_host_ecdsa_key.pub")
COPY = "hostname bbb1; sed -i /lb1/d /etc/hosts"
#: lb1's disks: one too small for recordings, and a full one for the database.
DISKS = """
mkdir -p /srv/bbb-fleet && mount -t tmpfs -o size=64m tmpfs /srv/bbb-fleet
mkdir -p /var/lib/postgresql && mount -t tmpfs -o size=8m tmpfs /var/lib/postgresql
head -c 16M /dev/zero >/var/lib/postgresql/full 2>/dev/null || test -s /var/lib/postgresql/full
"""
WRONG_SECRET = "Qm3xT8vLp2Wd9KfR6hZs"
#: All packages that the roles install; the hosts have none of the roles' files.
PACKAGES = (
    "ca-certificates chrony nftables nginx postgresql python3-cryptography python3-packaging python3-psycopg2 "
    "python3-venv redis-server rsync"
)
STAMP = "/run/before-preflight"
#: Files that the packages' own services write.
SERVICE_FILES = ("*/systemd/*", "/var/lib/postgresql/*", "/var/lib/redis/*")
CHANGED = " ".join(
    [
        f"find /etc /opt /root /srv /usr /var/lib /var/spool -xdev -newer {STAMP} -type f",
        *(f"! -path '{path}'" for path in SERVICE_FILES),
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
    """A check of hosts that have all packages and none of the roles' files."""
    install = f"apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {PACKAGES}"
    fleet.host("lb1").check_output(install)
    _stamp(fleet)
    return fleet.run("site", options=("--check", "-e", "nfs_server_min_size_gb=1"))


def _stamp(fleet: LabFleet) -> None:
    for name in HOSTS:
        fleet.host(name).check_output("touch %s && sleep 0.1", STAMP)


@pytest.fixture(scope="module")
def refused(fleet: LabFleet, checked: Run) -> Run:
    """One run of preflight on hosts that all have problems."""
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
    """Add a node without ssh that is bbb1 under another name, with another secret."""
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


def test_a_check_completes_if_all_packages_are_installed(fleet: LabFleet, checked: Run) -> None:
    assert checked.status == 0, checked.output[-5000:]
    # Both the first and the last role were checked.
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
def test_all_problems_are_reported_in_one_run(refused: Run, words: str) -> None:
    verdict = refused.output[refused.output.rindex("Nothing was changed.") :]
    assert words in verdict, verdict


def test_no_host_is_changed(fleet: LabFleet, refused: Run) -> None:
    assert refused.status != 0
    # The vault file on the controller, which counts for the first host.
    assert sum(refused.changed.values()) == 1
    assert {name: fleet.host(name).check_output(CHANGED) for name in HOSTS} == dict.fromkeys(HOSTS, "")


def test_no_secret_is_shown(fleet: LabFleet, refused: Run) -> None:
    own = (Path("/var/lib/bbb-fleet-lab") / LAB / "secrets" / "bbb1").read_text().strip()
    for secret in (own, WRONG_SECRET, *fleet.secrets()["balancer_secrets"]):
        assert secret not in refused.output
