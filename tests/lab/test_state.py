from ipaddress import IPv4Network

import pytest

from lab import state
from lab.errors import LabError
from lab.state import Lab
from lab.topology import Topology


def test_hosts_keep_their_addresses_when_others_join(paper_lab: Lab, default_topology: Topology) -> None:
    before = {host.name: host.address for host in paper_lab.hosts}
    after = {host.name: host.address for host in paper_lab.with_hosts(["db1", "bbb4"], default_topology).hosts}
    assert before.items() < after.items()
    assert len(set(after.values())) == len(after) == 7


def test_a_full_subnet_is_an_error_that_names_it(default_topology: Topology) -> None:
    lab = Lab("small", "small.test", "bbb", "10.99.0.0/28")
    with pytest.raises(LabError, match=r"10\.99\.0\.0/28 of lab small is full"):
        lab.with_hosts([f"bbb{number}" for number in range(1, 9)], default_topology)


def test_a_lab_is_read_back_as_it_was_saved(paper_lab: Lab) -> None:
    assert state.load(paper_lab.name) == paper_lab


def test_a_lab_that_is_not_there_says_how_to_start_it(paper_lab: Lab) -> None:
    with pytest.raises(LabError, match="lab other is not up; start it"):
        state.existing("other")


def test_a_damaged_description_says_how_to_get_rid_of_it(paper_lab: Lab) -> None:
    (paper_lab.directory / "lab.json").write_text('{"name": ')
    with pytest.raises(LabError, match=r"damaged.*lab down"):
        state.load(paper_lab.name)


def test_an_unknown_host_is_refused_with_the_known_ones(paper_lab: Lab) -> None:
    with pytest.raises(LabError, match="has no host 'bbb9'; it has storage1, db1, lb1, bbb1, bbb2, bbb3"):
        paper_lab.host("bbb9")


@pytest.mark.parametrize("name", ["", "Fleet", "two words", "a-b", "1st", "muchtoolongname", "../x"])
def test_a_name_that_fits_no_interface_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("BBB_FLEET_LAB", name)
    with pytest.raises(LabError, match="1 to 12 lower-case letters"):
        state.name_from_environment()


def test_a_subnet_in_use_is_left_to_its_user() -> None:
    taken = [IPv4Network("10.213.0.0/24"), IPv4Network("10.213.1.128/25"), IPv4Network("192.168.0.0/16")]
    assert state.choose_subnet(taken) == "10.213.2.0/24"


def test_no_free_subnet_is_an_error() -> None:
    with pytest.raises(LabError, match="no free /24 left"):
        state.choose_subnet([IPv4Network("10.0.0.0/8")])


def test_nfs_puts_the_server_its_clients_and_one_node_into_user_mode_linux(paper_lab_with_nfs: Lab) -> None:
    machines = {host.name: host.machine for host in paper_lab_with_nfs.hosts}
    assert [name for name, machine in machines.items() if machine == "uml"] == ["storage1", "lb1", "bbb1"]
