"""Which properties nodes share, and which nodes share them."""

from acceptance.support.node_identity import shared


def test_nodes_with_different_values_share_nothing() -> None:
    assert shared({"bbb1": {"machine id": "a", "secret": "x"}, "bbb2": {"machine id": "b", "secret": "y"}}) == []


def test_a_clone_is_named_with_its_original() -> None:
    """Each shared kind comes with the hosts that share it, and no other host."""
    identities = {
        "bbb1": {"machine id": "a", "secret": "x"},
        "bbb2": {"machine id": "a", "secret": "y"},
        "bbb3": {"machine id": "c", "secret": "y"},
    }
    assert shared(identities) == [("machine id", ["bbb1", "bbb2"]), ("secret", ["bbb2", "bbb3"])]


def test_a_property_that_a_node_lacks_is_not_compared() -> None:
    """A node reached over plain http has no TLS key."""
    assert shared({"bbb1": {"TLS key": "a"}, "bbb2": {}}) == []
