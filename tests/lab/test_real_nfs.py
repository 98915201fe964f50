"""NFS between hosts: within nspawn if the kernel has it, else between User Mode Linux hosts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import kernel, state, uml
from tests.lab.real_lab import RealLab

pytestmark = [pytest.mark.lab, pytest.mark.nfs, pytest.mark.slow]

EXPORT = "'/srv/bbb-fleet bbb1(rw,sync,no_subtree_check,no_root_squash)'"


@pytest.fixture(scope="module")
def real() -> Iterator[RealLab]:
    lab = RealLab("testnfs")
    lab("down")
    lab("up", "--nfs", "storage1", "bbb1", "db1")
    yield lab
    lab("down")
    assert lab.left_overs() == []


def test_hosts_with_nfs_run_where_there_is_nfs(real: RealLab) -> None:
    expected = "nspawn" if kernel.has_nfs() else "uml"
    machines = {host["name"]: host["machine"] for host in real.status()["hosts"]}
    assert machines == {"storage1": expected, "bbb1": expected, "db1": "nspawn"}
    assert real.status()["share"] == "nfs"


def test_what_one_host_exports_another_mounts_also_after_both_rebooted(real: RealLab) -> None:
    real.on(
        "storage1",
        f"apt-get install -y nfs-kernel-server >/dev/null; mkdir -p /srv/bbb-fleet; echo {EXPORT} > /etc/exports",
    )
    real.on("storage1", "systemctl enable nfs-server; systemctl restart nfs-server; echo served > /srv/bbb-fleet/probe")
    fstab = "storage1:/srv/bbb-fleet /mnt nfs4 rw,hard,_netdev 0 0"
    real.on(
        "bbb1",
        f"apt-get install -y nfs-common >/dev/null; echo '{fstab}' >> /etc/fstab; systemctl daemon-reload; mount /mnt",
    )
    assert real.on("bbb1", "cat /mnt/probe; stat -f -c %T /mnt") == "served\nnfs"
    real.ansible("storage1", "--become", "-m", "ansible.builtin.reboot")
    assert real.on("bbb1", "cat /mnt/probe") == "served"
    real("restart", "bbb1")
    assert real.on("bbb1", "cat /mnt/probe; stat -f -c %T /mnt") == "served\nnfs"


def test_the_link_of_a_host_in_user_mode_linux_goes_with_it(real: RealLab) -> None:
    lab = state.existing(real.name)
    if lab.host("storage1").machine != "uml":
        pytest.skip("this machine's kernel has NFS: no host runs in User Mode Linux")
    link = Path("/sys/class/net") / uml.link_name(lab.name, "storage1")
    assert link.exists()
    real("down")
    assert not link.exists()
    assert real.left_overs() == []
