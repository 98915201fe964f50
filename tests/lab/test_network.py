from lab import network
from lab.state import Lab

FORMER = "127.0.0.1 localhost\n192.0.2.7 printer # BEGIN of the rack\n"


def test_a_block_of_names_is_added_below_what_is_there() -> None:
    assert network.with_names(FORMER, "one", ["10.0.0.1 a"]) == (
        FORMER + "# BEGIN bbb-fleet lab one\n10.0.0.1 a\n# END bbb-fleet lab one\n"
    )


def test_a_block_replaces_its_former_self_and_no_other_labs() -> None:
    both = network.with_names(network.with_names(FORMER, "one", ["10.0.0.1 a"]), "two", ["10.0.1.1 a"])
    changed = network.with_names(both, "one", ["10.0.0.2 b"])
    assert "10.0.1.1 a" in changed
    assert "10.0.0.2 b" in changed
    assert "10.0.0.1 a" not in changed


def test_taking_the_block_away_restores_the_file_exactly() -> None:
    assert network.with_names(network.with_names(FORMER, "one", ["10.0.0.1 a"]), "one", []) == FORMER


def test_a_block_without_an_end_costs_no_line_before_it() -> None:
    cut_off = FORMER + "# BEGIN bbb-fleet lab one\n10.0.0.1 a\n"
    assert network.with_names(cut_off, "one", []) == FORMER


def test_hosts_know_each_other_and_the_public_name(paper_lab: Lab) -> None:
    lines = network.names_for_hosts(paper_lab)
    assert "10.99.0.11 storage1.paper.test storage1" in lines
    assert lines[-1] == "10.99.0.13 bbb.paper.test"


def test_networks_of_the_machine_are_taken() -> None:
    assert any(taken.is_loopback for taken in network.taken_networks())
