"""Pools of nodes by tag: the nodes that a create may go to (Scalelite's ``meta_server-tag``).

``a;b`` asks for a node with one of these tags and falls back to nodes without tags; with a ``!`` at the end it does not
fall back. The word ``none`` in the list stands for nodes without tags. A create without the parameter goes to nodes
without tags, so that a tagged node is kept for creates that name its tag.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from balancer.core.parameters import Parameters

#: In a list of tags: nodes without tags. It may not be a node's tag.
UNTAGGED = "none"
#: Characters of a pool that are shown.
_SHOWN = 200


@dataclass(frozen=True)
class Pool:
    """The nodes that a create asks for."""

    tags: tuple[str, ...] = ()  #: the node has one of them; empty: it has no tags
    required: bool = False  #: whether no other node will do

    @classmethod
    def asked(cls, parameters: Parameters) -> "Pool":
        """The pool that a create names."""
        return cls.parse(parameters.text("meta_server-tag"))

    @classmethod
    def parse(cls, text: str) -> "Pool":
        """As written in ``meta_server-tag``."""
        words = (word.strip() for word in text.strip().removesuffix("!").split(";"))
        tags = tuple(dict.fromkeys(word for word in words if word))
        return cls(tags, required=bool(tags) and text.rstrip().endswith("!"))

    def __str__(self) -> str:
        """As in a create, for messages and logs. Shortened, because a form has room for a megabyte of tags."""
        text = ";".join(self.tags)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    @cached_property
    def _words(self) -> frozenset[str]:
        """For the search in a list that may have a hundred thousand tags, once for each node and create."""
        return frozenset(self.tags)

    def holds(self, tags: Collection[str]) -> bool:
        """Whether a node with these tags is one that the create asks for."""
        if not tags:
            return not self.tags or UNTAGGED in self._words
        return not self._words.isdisjoint(tags)

    def allows(self, tags: Collection[str]) -> bool:
        """Whether a node with these tags will do if there is none that the create asks for."""
        return self.holds(tags) or (not self.required and not tags)
