"""Which node takes a new meeting: the least loaded of those that may, and for every other the reason why not."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from balancer.core.load import Load
from balancer.core.nodes import AdminState, Node, ObservedState

# Where no node is known to be well, one of which nothing fresh is known may be: Redis was wiped, or nobody polls. After
# these, one that failed its last poll. A node that is unreachable, or was never polled, gets nothing.
_PREFERENCE = (ObservedState.ONLINE, ObservedState.STALE, ObservedState.SUSPECT)


@dataclass(frozen=True)
class Candidate:
    """A node as placement sees it."""

    node: Node
    observed: ObservedState
    load: Load
    refusal: str = ""  #: why it may not take this meeting; "" where it may

    @property
    def score(self) -> float:
        return self.load.score(self.node.weight)


def candidates(
    nodes: Iterable[Node],
    observed: Mapping[int, ObservedState],
    loads: Mapping[int, Load],
    *,
    refused: Collection[int] = (),
    foreign: Collection[int] = (),
) -> list[Candidate]:
    """Every node, judged; the best comes first.

    refused: node ids that failed this very create. foreign: those that hold another tenant's meeting of this id.
    """
    nodes = list(nodes)
    best = next((state for state in _PREFERENCE if state in _states(nodes, observed, refused, foreign)), None)
    found = [
        Candidate(node, observed[node.id], loads[node.id], _refusal(node, observed[node.id], best, refused, foreign))
        for node in nodes
    ]
    return sorted(found, key=lambda each: (bool(each.refusal), each.score, each.load.meetings, each.node.id))


def _states(
    nodes: Iterable[Node], observed: Mapping[int, ObservedState], refused: Collection[int], foreign: Collection[int]
) -> set[ObservedState]:
    return {observed[node.id] for node in nodes if not _refusal(node, observed[node.id], None, refused, foreign)}


def _refusal(
    node: Node,
    observed: ObservedState,
    best: ObservedState | None,
    refused: Collection[int],
    foreign: Collection[int],
) -> str:
    if node.admin_state is not AdminState.ENABLED:
        return f"is {node.admin_state.value}"
    if node.id in refused:
        return "failed this create"
    if node.id in foreign:
        return "has another tenant's meeting of this id"
    if observed not in _PREFERENCE or (best is not None and observed is not best):
        return f"is {observed.value}"
    return ""
