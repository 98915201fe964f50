"""Rare questions to a node: which BBB release it runs, and which digests it accepts in our signature."""

import time
from dataclasses import dataclass, replace
from typing import Self

from balancer import log
from balancer.core.nodes import Node, Observation
from balancer.errors import NodeError
from balancer.polling.client import AsyncNodeClient
from balancer.settings import ALGORITHMS

#: Seconds between two questions for a node's BBB version.
VERSION_EVERY = 3600.0
#: Seconds between two rounds of digests; a round tries one digest after each poll. Up to twice as long, depending on
#: the node, so that hundreds of nodes are not probed at the same time.
DIGESTS_EVERY = 3600.0
#: Seconds until a round continues after the node did not answer; up to twice as long in the same way.
DIGESTS_RETRY = 60.0

logger = log.get(__name__)


@dataclass(frozen=True)
class Probes:
    """What a node has answered, and when to ask again (of time.monotonic())."""

    bbb_version: str = ""
    digests: tuple[str, ...] = ()
    version_due: float = 0.0
    digests_due: float = 0.0
    untried: tuple[str, ...] = ()  #: digests that the current round has still to try
    accepted: tuple[str, ...] = ()  #: digests that the current round found to be accepted
    refused: bool = False  #: whether the node refused our own signature when the current round began

    @classmethod
    def stored(cls, node_id: int, observation: Observation) -> Self:
        """From a node's stored observation; the version is due at once."""
        # Without any digest a first round was interrupted.
        wait = DIGESTS_EVERY * _spread(node_id, 0) if observation.digests else 0.0
        return cls(observation.bbb_version, observation.digests, digests_due=time.monotonic() + wait)

    def all_due(self) -> Self:
        """After an operator has changed the node."""
        return replace(self, version_due=0.0, digests_due=0.0, untried=())

    async def ask_version(self, http: AsyncNodeClient, node: Node, timeout: float) -> Self:
        """Ask a node that answers for its version. Raises NodeError if its API is not one that we know."""
        try:
            version = await http.version(node, timeout=timeout)
        except NodeError as error:
            if error.reason == "version":
                raise
            # Its other answers count. The index page is asked again in an hour.
            logger.warning("node version not known", node=node.name, reason=str(error))
            version = self.bbb_version
        return replace(self, bbb_version=version, version_due=time.monotonic() + VERSION_EVERY)

    async def try_digest(self, http: AsyncNodeClient, node: Node, timeout: float, *, refused: bool = False) -> Self:
        """Try one more digest, so that a poll costs at most one more request.

        A round through all digests begins when it is due, and when the node begins or ceases to refuse our signature
        (``refused``).
        """
        if refused == self.refused and time.monotonic() < self.digests_due:
            return self
        round_ = self if self.untried and refused == self.refused else replace(self, untried=ALGORITHMS, accepted=())
        algorithm, *untried = round_.untried
        try:
            accepts = await http.accepts(node, algorithm, timeout=timeout)
        except NodeError as error:
            logger.warning("node digests not known", node=node.name, reason=str(error))
            retry = time.monotonic() + DIGESTS_RETRY * _spread(node.id, 1)
            return replace(round_, digests_due=retry, refused=refused)
        accepted = (*round_.accepted, algorithm) if accepts else round_.accepted
        if untried:
            return replace(round_, untried=tuple(untried), accepted=accepted, digests_due=0.0, refused=refused)
        due = time.monotonic() + DIGESTS_EVERY * _spread(node.id, 1)
        return replace(round_, digests=accepted, untried=(), accepted=(), digests_due=due, refused=refused)


def _spread(node_id: int, least: int) -> float:
    """A factor from ``least`` to one more, different for each node."""
    return least + node_id % 60 / 60
