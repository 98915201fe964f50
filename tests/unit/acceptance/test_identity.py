"""Which marks two nodes share, and who has them."""

from acceptance.support.identity import shared


def test_nodes_of_their_own_share_nothing() -> None:
    """Different values of every kind are nothing to tell."""
    assert shared({"bbb1": {"machine id": "a", "secret": "x"}, "bbb2": {"machine id": "b", "secret": "y"}}) == []


def test_a_clone_is_named_with_its_original() -> None:
    """Each kind that is shared is told with all hosts that share it, and no other host."""
    marks = {
        "bbb1": {"machine id": "a", "secret": "x"},
        "bbb2": {"machine id": "a", "secret": "y"},
        "bbb3": {"machine id": "c", "secret": "y"},
    }
    assert shared(marks) == [("machine id", ["bbb1", "bbb2"]), ("secret", ["bbb2", "bbb3"])]


def test_a_mark_that_a_node_lacks_is_not_compared() -> None:
    """A node reached over plain http has no TLS key."""
    assert shared({"bbb1": {"TLS key": "a"}, "bbb2": {}}) == []
