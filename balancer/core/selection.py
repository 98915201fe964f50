"""Which node takes a new meeting: the least loaded that may; and for every other node the reason why not."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from balancer.core.load import Load
from balancer.core.node_tags import Pool
from balancer.core.nodes import AdminState, Node, ObservedState
from balancer.errors import NoNodeAvailableError, ServerTagUnavailableError

# Prefer nodes known to be online. If there are none, a stale node may still be fine (Redis was wiped, or no poller
# runs); failing that, one that failed its last poll. A node that is unreachable, or was never polled, gets nothing.
_PREFERENCE = (ObservedState.ONLINE, ObservedState.STALE, ObservedState.SUSPECT)

_UNTAGGED = "without the tag asked for"


@dataclass(frozen=True)
class Candidate:
    """A node as placement sees it."""

    node: Node
    observed: ObservedState
    load: Load
    expected_users: float = 0.0  #: in the meeting that is to be placed
    refusal: str = ""  #: why it may not take this meeting, to follow "a node"; "" if it may

    @property
    def score(self) -> float:
        """The node's load for its capacity with the meeting on it: a lecture weighs more on a small node."""
        return self.load.score(self.node.weight, self.expected_users)

    @property
    def avoided(self) -> str:
        """The soft limit that the node has reached; "" if it is below them."""
        limits = self.node.limits
        return _reached(self.load, limits.soft_meetings, limits.soft_users)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the new meeting requires of a node. Nodes are given by their ids."""

    pool: Pool = field(default_factory=Pool)
    expected_users: float = 0.0
    failed: Collection[int] = ()  #: nodes that failed this very create
    foreign: Collection[int] = ()  #: nodes that hold another tenant's meeting of this meetingID
    changed: Collection[int] = ()  #: nodes that changed since ``observed`` and ``loads`` were read
    only: int | None = None  #: the one node that will do


def candidates(
    nodes: Iterable[Node], observed: Mapping[int, ObservedState], loads: Mapping[int, Load], request: Request
) -> list[Candidate]:
    """Every node with its refusal, the best first.

    A soft limit only counts among nodes that are otherwise alike: it sends no meeting out of its pool.
    """
    result = [_candidate(node, observed[node.id], loads[node.id], request) for node in nodes]
    states = {each.observed for each in result if not each.refusal}
    best = next((state for state in _PREFERENCE if state in states), None)
    result = _refuse(result, lambda each: each.observed is not best, lambda each: each.observed.value)
    if any(not each.refusal and request.pool.holds(each.node.tags) for each in result):
        result = _refuse(result, lambda each: not request.pool.holds(each.node.tags), lambda _: _UNTAGGED)
    return sorted(result, key=_rank)


def unfit(node: Node, observed: ObservedState, pool: Pool) -> str:
    """Why a node may not take any meeting of the pool; "" if it may."""
    if node.admin_state is not AdminState.ENABLED:
        return node.admin_state.value
    if not pool.allows(node.tags):
        return _UNTAGGED if pool.required else "kept for other tags"
    if observed not in _PREFERENCE:
        return "never polled" if observed is ObservedState.UNKNOWN else observed.value
    return ""


def unplaced(refused: Collection[Candidate], pool: Pool) -> NoNodeAvailableError:
    """The error for the front end if every node is refused: BBB's or Scalelite's failure, and the reasons."""
    counts = Counter(each.refusal for each in refused)
    reasons = [f"{count} {'node' if count == 1 else 'nodes'} {refusal}" for refusal, count in counts.most_common()]
    details = f" ({', '.join(reasons) or 'no node is registered'})"
    if pool.required:
        return ServerTagUnavailableError(f"There is no available server with the required tag={pool}.{details}")
    return NoNodeAvailableError(NoNodeAvailableError.default_message + details)


def full(load: Load, node: Node) -> str:
    """The hard limit that a node has reached, to follow "a node"; "" if it is below them."""
    reached = _reached(load, node.limits.hard_meetings, node.limits.hard_users)
    return f"at the limit of {reached}" if reached else ""


def _candidate(node: Node, observed: ObservedState, load: Load, request: Request) -> Candidate:
    """The node with what speaks against it, whatever the other nodes are like."""
    refusal = _refusal(node, observed, request) or full(load, node)
    return Candidate(node, observed, load, request.expected_users, refusal)


def _refusal(node: Node, observed: ObservedState, request: Request) -> str:
    if node.id in request.failed:
        return "that did not take this meeting"
    if node.id in request.foreign:
        return "with another meeting of this id"
    if request.only not in (None, node.id):
        return "without its parent meeting"
    return unfit(node, observed, request.pool) or ("that has just changed" if node.id in request.changed else "")


def _refuse(
    given: Iterable[Candidate], against: Callable[[Candidate], bool], reason: Callable[[Candidate], str]
) -> list[Candidate]:
    """The candidates, of which those not yet refused are refused if ``against`` says so."""
    return [replace(each, refusal=reason(each)) if not each.refusal and against(each) else each for each in given]


def _reached(load: Load, meetings: int | None, users: int | None) -> str:
    if meetings is not None and load.meetings >= meetings:
        return "meetings"
    return "users" if users is not None and load.people >= users else ""


def _rank(each: Candidate) -> tuple[bool, bool, float, float, float, int]:
    """Of equally loaded nodes, the one with fewer meetings comes first, then the larger one."""
    weight = each.node.weight
    return bool(each.refusal), bool(each.avoided), each.score, each.load.meetings / weight, -weight, each.node.id
