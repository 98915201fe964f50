"""Which node takes a new meeting: the least loaded of those that may, and for every other the reason why not."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from balancer.core.load import Load
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.core.pools import Pool
from balancer.errors import NoNodeAvailableError, ServerTagUnavailableError

# Where no node is known to be well, one of which nothing fresh is known may be: Redis was wiped, or nobody polls. After
# these, one that failed its last poll. A node that is unreachable, or was never polled, gets nothing.
_PREFERENCE = (ObservedState.ONLINE, ObservedState.STALE, ObservedState.SUSPECT)

_UNTAGGED = "without the tag asked for"


@dataclass(frozen=True)
class Candidate:
    """A node as placement sees it."""

    node: Node
    observed: ObservedState
    load: Load
    expected_users: float = 0.0  #: in the meeting that is to be placed
    refusal: str = ""  #: why it may not take this meeting, to follow "a node"; "" where it may

    @property
    def score(self) -> float:
        """Its load for its capacity once it has the meeting: a lecture is more to a small node than to a large one."""
        return self.load.score(self.node.weight, self.expected_users)

    @property
    def avoided(self) -> str:
        """The soft limit that it has reached; "" where it is below them."""
        limits = self.node.limits
        return _reached(self.load, limits.soft_meetings, limits.soft_users)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the meeting that is to be placed asks of a node."""

    pool: Pool = field(default_factory=Pool)
    expected_users: float = 0.0
    refused: Collection[int] = ()  #: ids of nodes that failed this very create
    foreign: Collection[int] = ()  #: ids of those that hold another tenant's meeting of this id
    only: int | None = None  #: id of the one that it has to be on


def candidates(
    nodes: Iterable[Node], observed: Mapping[int, ObservedState], loads: Mapping[int, Load], request: Request
) -> list[Candidate]:
    """Every node, judged; the best comes first.

    A soft limit only weighs among nodes that would do as well otherwise: it sends nothing out of the pool asked for.
    """
    found = [_judged(node, observed[node.id], loads[node.id], request) for node in nodes]
    states = {each.observed for each in found if not each.refusal}
    best = next((state for state in _PREFERENCE if state in states), None)
    found = _refuse(found, lambda each: each.observed is not best, lambda each: each.observed.value)
    if any(not each.refusal and request.pool.holds(each.node.tags) for each in found):
        found = _refuse(found, lambda each: not request.pool.holds(each.node.tags), lambda _: _UNTAGGED)
    return sorted(found, key=_rank)


def unfit(node: Node, observed: ObservedState, pool: Pool) -> str:
    """Why a node may not take a meeting of the pool at all; "" where it may."""
    if node.admin_state is not AdminState.ENABLED:
        return node.admin_state.value
    if not pool.allows(node.tags):
        return _UNTAGGED if pool.required else "kept for other tags"
    if observed not in _PREFERENCE:
        return "never polled" if observed is ObservedState.UNKNOWN else observed.value
    return ""


def rank(node: Node, observed: ObservedState, pool: Pool) -> int | None:
    """What comes before any load: the lower the better; None where the node may not take such a meeting at all."""
    if unfit(node, observed, pool):
        return None
    return 2 * _PREFERENCE.index(observed) + (not pool.holds(node.tags))


def unplaced(found: Collection[Candidate], pool: Pool) -> NoNodeAvailableError:
    """What a front end is told where every node is refused: BBB's or Scalelite's failure, and the reasons."""
    counts = Counter(each.refusal for each in found)
    reasons = [f"{count} {'node' if count == 1 else 'nodes'} {refusal}" for refusal, count in counts.most_common()]
    told = f" ({', '.join(reasons) or 'no node is registered'})"
    if pool.required:
        return ServerTagUnavailableError(f"There is no available server with the required tag={pool}.{told}")
    return NoNodeAvailableError(NoNodeAvailableError.default_message + told)


def full(load: Load, node: Node) -> str:
    """The hard limit that a node has reached, to follow "a node"; "" where it is below them."""
    reached = _reached(load, node.limits.hard_meetings, node.limits.hard_users)
    return f"at the limit of {reached}" if reached else ""


def _judged(node: Node, observed: ObservedState, load: Load, request: Request) -> Candidate:
    """By what speaks against it, whatever the others are like."""
    refusal = unfit(node, observed, request.pool)
    if node.id in request.refused:
        refusal = "that did not take this meeting"
    elif node.id in request.foreign:
        refusal = "with another meeting of this id"
    elif request.only not in (None, node.id):
        refusal = "without its parent meeting"
    return Candidate(node, observed, load, request.expected_users, refusal or full(load, node))


def _refuse(
    found: Iterable[Candidate], against: Callable[[Candidate], bool], reason: Callable[[Candidate], str]
) -> list[Candidate]:
    return [replace(each, refusal=reason(each)) if not each.refusal and against(each) else each for each in found]


def _reached(load: Load, meetings: int | None, users: int | None) -> str:
    if meetings is not None and load.meetings >= meetings:
        return "meetings"
    return "users" if users is not None and load.people >= users else ""


def _rank(each: Candidate) -> tuple[bool, bool, float, float, float, int]:
    """Of nodes that would be equally loaded the one with fewer meetings, then the larger one."""
    weight = each.node.weight
    return bool(each.refusal), bool(each.avoided), each.score, each.load.meetings / weight, -weight, each.node.id
