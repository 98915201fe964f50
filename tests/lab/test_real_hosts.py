"""A small real lab, shared by tests that do not depend on each other."""

import json
import time
from collections.abc import Iterator

import pytest

from lab import machines, network, ssh, state
from lab.errors import LabError
from lab.state import Host, Lab
from tests.lab.real_lab import RealLab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HOSTS = ("storage1", "lb1", "bbb1", "bbb2")


@pytest.fixture(scope="module")
def real() -> Iterator[RealLab]:
    lab = RealLab("testhosts")
    lab("down")
    lab("up", *HOSTS)
    yield lab
    lab("down")
    assert lab.left_overs() == []


@pytest.fixture
def lab(real: RealLab) -> Lab:
    return state.existing(real.name)


def test_every_host_has_booted_without_a_failed_unit(real: RealLab) -> None:
    assert {host["name"]: host["state"] for host in real.status()["hosts"]} == dict.fromkeys(HOSTS, "running")
    assert {host: real.on(host, "systemctl is-system-running") for host in HOSTS} == dict.fromkeys(HOSTS, "running")


def test_ansible_reaches_every_host_and_becomes_root(real: RealLab) -> None:
    output = real.ansible("all", "--become", "-m", "ansible.builtin.command", "-a", "id --user --name", "--one-line")
    assert output.count("(stdout) root") == len(HOSTS)


def test_no_two_hosts_share_an_identity(real: RealLab) -> None:
    for what in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub", "hostname --fqdn", "hostname -I"):
        assert len({real.on(host, what) for host in HOSTS}) == len(HOSTS), what


def test_only_the_known_host_key_exists(real: RealLab) -> None:
    assert real.on("bbb1", "ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key"


def test_a_host_with_another_key_is_not_trusted(real: RealLab, lab: Lab) -> None:
    known = ssh.known_hosts_file(lab)
    former = known.read_text()
    storage, balancer = (line.split()[2] for line in former.splitlines()[:2])
    known.write_text(former.replace(storage, balancer))
    try:
        with pytest.raises(LabError, match=r"(?s)storage1: .*Host key verification failed"):
            ssh.run_on(lab, lab.host("storage1"), "true")
    finally:
        known.write_text(former)


def test_a_command_keeps_its_exit_status_and_output(real: RealLab) -> None:
    with pytest.raises(AssertionError, match="as printed"):
        real("run", "bbb1", "--", "echo as printed; exit 3")


def test_nodes_answer_under_certificates_that_the_other_hosts_trust(real: RealLab) -> None:
    ask = "import urllib.request; print(urllib.request.urlopen('https://bbb2.testhosts.test/bigbluebutton/api').read())"
    assert "<returncode>SUCCESS</returncode>" in real.on("lb1", f'python3 -c "{ask}"')


def test_a_node_has_the_secret_that_the_acceptance_suite_knows(real: RealLab) -> None:
    secret = (real.directory / "secrets/bbb1").read_text().strip()
    assert f"Secret: {secret}" in real.on("bbb1", "bbb-conf --secret")


def test_packages_are_really_installed_from_what_the_image_downloaded(real: RealLab) -> None:
    assert real.on("storage1", "dpkg-query -W -f '${Status}' rsync 2>&1 || true").startswith("dpkg-query: no packages")
    output = real.on("storage1", "apt-get install --yes --no-install-recommends --no-download rsync 2>&1")
    assert "Setting up rsync" in output


def test_the_mirror_is_reached_through_the_masquerade(real: RealLab) -> None:
    assert "Reading package lists" in real.on(
        "storage1", "apt-get update 2>&1 && ! apt-get update 2>&1 | grep -E '^(E|W):'"
    )


def test_the_share_is_one_tree_on_both_sides(real: RealLab) -> None:
    assert real.status()["share"] == "bind"
    real.on("storage1", "echo across > /srv/bbb-fleet/probe")
    assert real.on("lb1", "cat /srv/bbb-fleet/probe && rm /srv/bbb-fleet/probe") == "across"


def test_up_again_leaves_running_hosts_alone(real: RealLab) -> None:
    before = [real.on(host, "cat /proc/sys/kernel/random/boot_id; stat -c %i /proc/1") for host in HOSTS]
    started = time.monotonic()
    real("up", *HOSTS)
    assert [real.on(host, "cat /proc/sys/kernel/random/boot_id; stat -c %i /proc/1") for host in HOSTS] == before
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("how", ["restart", "reboot", "power"])
def test_a_host_comes_back_with_its_address_services_and_mounts(real: RealLab, lab: Lab, how: str) -> None:
    real.on("storage1", "mkdir -p /mnt/tree /etc/systemd/system && touch /srv/bbb-fleet/kept")
    unit = "[Unit]\\nRequiresMountsFor=/srv\\n[Mount]\\nWhat=/srv/bbb-fleet\\nWhere=/mnt/tree\\nOptions=bind\\n"
    wanted = "[Install]\\nWantedBy=local-fs.target\\n"
    real.on(
        "storage1",
        f"printf '{unit}{wanted}' > /etc/systemd/system/mnt-tree.mount; systemctl enable --now mnt-tree.mount",
    )
    real.on("storage1", "touch /run/of-this-boot")
    _bring_back(real, lab, lab.host("storage1"), how)
    assert real.on("storage1", "ls /run/of-this-boot 2>/dev/null || echo rebooted") == "rebooted"
    assert lab.host("storage1").address in real.on("storage1", "hostname -I")
    assert real.on("storage1", "systemctl is-system-running --wait; ls /mnt/tree/kept") == "running\n/mnt/tree/kept"


def test_hosts_do_not_share_control_groups(real: RealLab) -> None:
    real.on("bbb1", "systemctl stop nginx")
    assert real.on("bbb2", "systemctl is-active nginx") == "active"
    real.on("bbb1", "systemctl start nginx")


def test_a_cut_separates_two_hosts_and_no_other_pair(real: RealLab, lab: Lab) -> None:
    ping = "ping -c1 -W2 {} >/dev/null && echo reached || echo cut"
    network.cut(lab, lab.host("lb1"), lab.host("bbb1"))
    try:
        assert real.on("lb1", ping.format("bbb1")) == "cut"
        assert real.on("bbb1", ping.format("lb1")) == "cut"
        assert real.on("lb1", ping.format("bbb2")) == "reached"
    finally:
        network.heal(lab)
    assert real.on("lb1", ping.format("bbb1")) == "reached"


def test_existing_hosts_know_a_new_host(real: RealLab) -> None:
    real("up", "db1")
    assert real.on("bbb1", "getent hosts db1").split()[1] == "db1.testhosts.test"
    inventory = json.loads(real.ansible("db1", "-m", "ansible.builtin.ping", "--one-line").partition("=> ")[2])
    assert inventory["ping"] == "pong"


def _bring_back(real: RealLab, lab: Lab, host: Host, how: str) -> None:
    if how == "restart":
        real("restart", host.name)
    elif how == "reboot":
        real.ansible(host.name, "--become", "-m", "ansible.builtin.reboot")
    else:
        machines.cut_power(lab, host)
        machines.start(lab, host)
        machines.await_boot(lab, host)
