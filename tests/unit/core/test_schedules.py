"""Everything at once, in ten thousand orders: none of them makes happen what must never happen."""

from collections.abc import Callable
from typing import Any

import pytest
from greenlet import getcurrent

from balancer.core.creation import Creation
from balancer.core.meetings import State
from balancer.core.nodes import AdminState
from balancer.core.settlement import settle
from balancer.errors import BBBError, NodeError
from tests.unit.core.living_world import Client, Killed, LivingWorld, Poller
from tests.unit.core.world import GARBAGE, SLOW

SCHEDULES = 10_000
MEETINGS = ("course-1", "course-2")
TENANTS = (1, 2)


class Play:
    """What goes on in one schedule, drawn from its seed."""

    def __init__(self, seed: int) -> None:
        self.world = LivingWorld("a", "b", "c", seed=seed)
        self.random = self.world.random
        self.pollers = [Poller(self.world), Poller(self.world)]
        if self.random.random() < 0.2:
            self.world.strangers_meeting(self._node(), "course-1")

    def run(self) -> None:
        for node_id in self.world.nodes:
            self.pollers[0].poll(node_id)
        kinds = (
            self._client,
            self._client,
            self._client,
            self._poll,
            self._poll,
            self._operator,
            self._trouble,
            self._outage,
        )
        actors = [self.random.choice(kinds) for _ in range(self.random.randint(4, 7))]
        self.world.schedule.run(self._client, *actors)
        self._settle_down()

    def _node(self) -> int:
        return self.random.choice((1, 1, 2, 3))

    def _somebody(self) -> Client:
        tenant_id = 1 if self.random.random() < 0.8 else 2
        return Client(self.world, tenant_id, self.random.choice(MEETINGS[: 1 + (self.random.random() < 0.2)]))

    def _client(self) -> None:
        somebody = self._somebody()
        if self.random.random() < 0.1:
            self.world.doomed.add(getcurrent())
        try:
            for _ in range(self.random.randint(1, 2)):
                self.random.choice((somebody.create, somebody.create, somebody.come, somebody.end))()
        except Killed:
            self.world.note("a worker died")

    def _poll(self) -> None:
        poller = self.random.choice(self.pollers)
        for _ in range(self.random.randint(1, 4)):
            poller.poll(self._node())

    def _operator(self) -> None:
        node_id = self._node()
        acts: list[Callable[[], None]] = [
            lambda: self.world.set_state(node_id, AdminState.DRAINING),
            lambda: self.world.set_state(node_id, AdminState.DISABLED),
            lambda: self.world.set_state(node_id, AdminState.ENABLED),
            lambda: self.world.give_up(1, "course-1"),
        ]
        for _ in range(self.random.randint(1, 3)):
            self.random.choice(acts)()

    def _trouble(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self.world.step()
            self.random.choice(
                (self._break, self._break, self._mend, self._restart, self._expire, self._be_late, self._wait)
            )()

    def _outage(self) -> None:
        """A node is away long enough to be noticed, and for some of its meetings to be placed anew."""
        node_id = self._node()
        self.world.down.add(node_id)
        for _ in range(2):
            for each in self.world.nodes:
                self.pollers[0].poll(each)
        self.world.leap(self.random.choice((20.0, 200.0)))
        if self.random.random() < 0.2:
            for each in self.world.nodes:
                self.world.set_state(each, AdminState.DRAINING)
        self._client()
        self.world.down.discard(node_id)
        if self.random.random() < 0.5:
            self._client()  # before any poll that would find it back

    def _break(self) -> None:
        node_id = self._node()
        if self.random.random() < 0.5:
            self.world.down.add(node_id)
            return
        fault: tuple[NodeError, bool] = self.random.choice(((SLOW, True), (SLOW, False), (GARBAGE, True)))
        self.world.faults[node_id] = fault

    def _mend(self) -> None:
        self.world.down.clear()
        self.world.faults.clear()

    def _restart(self) -> None:
        node_id = self._node()
        self.world.meetings[node_id] = {}
        self.world.down.discard(node_id)

    def _expire(self) -> None:
        """BBB's own end of a meeting that nobody is in."""
        node_id = self._node()
        for found in list(self.world.meetings[node_id].values()):
            if (node_id, found.internal_meeting_id) not in self.world.users:
                self.world.remove(node_id, found.internal_meeting_id)

    def _be_late(self) -> None:
        self.world.carry_out_late()

    def _wait(self) -> None:
        self.world.leap(self.random.choice((5.0, 40.0, 200.0)))

    def _settle_down(self) -> None:
        """All is well again: nothing may be left half-done, and nothing forgotten on a node."""
        self.world.doomed.clear()
        self._mend()
        self.world.carry_out_late()
        self.world.leap(40)
        for _ in range(3):
            for node_id in self.world.nodes:
                self.pollers[0].poll(node_id)
        rows = self.world.rows
        assert not [row for row in rows if row.state is State.CREATING], "a create is left half-done"
        alive = [row for row in rows if row.state in (State.RUNNING, State.LOST)]
        known = {(self.world.places[row.id], row.internal_meeting_id) for row in alive}
        known |= self.world.strange | self.world.users
        for node_id, held in self.world.meetings.items():
            for found in held.values():
                here = (node_id, found.internal_meeting_id)
                assert here in known or not self.world.only_one_knew(here), f"left over on node: {here}"
        for row in rows:
            if row.state is State.RUNNING:
                held = self.world.meetings[self.world.places[row.id] or 0]
                assert row.internal_meeting_id == held[row.meeting_id].internal_meeting_id, f"not there: {row}"


def play(seeds: range) -> None:
    for seed in seeds:
        current = Play(seed)
        try:
            current.run()
        except AssertionError as error:
            story = "\n".join(["", *current.world.story])
            raise AssertionError(f"seed {seed}: {error}{story}") from error


def test_nothing_that_must_never_happen_happens_in_any_order() -> None:
    play(range(SCHEDULES))


def _settle_whatever_the_operator_wants(row: Any, namesake: Any, found: Any, *, enabled: bool) -> Any:
    return settle(row, namesake, found, enabled=True)


def _impatient(*, store: Any, nodes: Any, move_after: float) -> Creation:
    return Creation(store=store, nodes=nodes, move_after=0)


def _move_by_halves(rules: Creation, attempt: Any, placement: Any, cause: str) -> None:
    rules.store.finish(placement, State.LOST, cause)


def _move_unasked(rules: Creation, attempt: Any, placement: Any, node: Any, unreachable_for: float) -> Any:
    if unreachable_for < rules.move_after or rules.store.mostly_unreachable():
        raise BBBError
    return rules._move(attempt, placement, "its node was unreachable")


def _wherever_it_is(world: LivingWorld, other: Any, row: Any) -> bool:
    return True


def _end_by_any_poll(row: Any, meeting: Any, listing: Any, findings: Any) -> None:
    if meeting is None:
        findings.ended.append(row)


def _end_whenever_created(world: LivingWorld, rows: Any, poll_started: Any) -> None:
    for row in rows:
        world._set(world.row(row.id), state=State.ENDED)


@pytest.mark.parametrize(
    ("mistakes", "told"),
    [
        ({"tests.unit.core.world.settle": _settle_whatever_the_operator_wants}, "a node out of service"),
        ({"tests.unit.core.living_world.Creation": _impatient}, "lost although its node may be there"),
        ({"balancer.core.creation.Creation._move": _move_by_halves}, "lost although no other node has taken it"),
        ({"balancer.core.creation.Creation._ask_or_move": _move_unasked}, "lost although its node was not asked"),
        ({"balancer.core.reconciliation._is_left_over": lambda *_: True}, "somebody else's"),
        ({"balancer.core.reconciliation._is_left_over": lambda *_: False}, "left over on node"),
        ({"tests.unit.core.world.World._is_beside": _wherever_it_is}, "left over on node"),
        (
            {
                "balancer.core.reconciliation._compare_running": _end_by_any_poll,
                "tests.unit.core.living_world.LivingWorld.end_running": _end_whenever_created,
            },
            "forgotten while its node has it",
        ),
    ],
)
def test_a_mistake_in_the_rules_is_found(monkeypatch: pytest.MonkeyPatch, mistakes: dict[str, Any], told: str) -> None:
    for name, mistake in mistakes.items():
        monkeypatch.setattr(name, mistake)
    with pytest.raises(AssertionError, match=told):
        play(range(SCHEDULES))
