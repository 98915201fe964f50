"""Pools of nodes by tag: which of them a create may go to (Scalelite's ``meta_server-tag``).

``a;b`` asks for a node with one of these tags and falls back to nodes without any; with a ``!`` at the end there is no
falling back. The word ``none`` in the list stands for nodes without tags. A create that asks for nothing goes to nodes
without tags, so that a tagged node is kept for those who name it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from balancer.core.parameters import Parameters

#: In a list of tags: nodes that have none. No node may be given it as a tag.
UNTAGGED = "none"
#: Characters of a pool that are shown.
_SHOWN = 200


@dataclass(frozen=True)
class Pool:
    """What a create asks for."""

    tags: tuple[str, ...] = ()  #: one of them; none: nodes without tags
    required: bool = False  #: whether nothing else will do

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
        """As a create names it, for messages and logs: a form has room for a megabyte of tags."""
        text = ";".join(self.tags)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    @cached_property
    def _words(self) -> frozenset[str]:
        """A form has room for a hundred thousand: looked up for each node, they would hold up everybody's creates."""
        return frozenset(self.tags)

    def holds(self, tags: Collection[str]) -> bool:
        """Whether a node with these tags is what was asked for."""
        if not tags:
            return not self.tags or UNTAGGED in self._words
        return not self._words.isdisjoint(tags)

    def allows(self, tags: Collection[str]) -> bool:
        """Whether a node with these tags will do, should none be there that was asked for."""
        return self.holds(tags) or (not self.required and not tags)
