"""Everything at once, in ten thousand orders: in none of them does anything happen that must never happen."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from greenlet import getcurrent

from balancer.core.creation import Creation
from balancer.core.meetings import LiveMeeting, State
from balancer.core.nodes import AdminState
from balancer.errors import BBBError, NodeError
from tests.unit.core.actors import Client, Operator, Poller
from tests.unit.core.meeting_rows import MeetingRows
from tests.unit.core.mistakes import end_whatever_has_the_name, settle_whatever_the_operator_wants
from tests.unit.core.poll_store import PollStore
from tests.unit.core.servers import GARBAGE, SLOW
from tests.unit.core.world import Killed, World

SCHEDULES = 10_000
MEETINGS = ("course-1", "course-2")
TENANTS = (1, 2)


class Play:
    """What happens in one schedule, drawn from its seed."""

    def __init__(self, seed: int) -> None:
        self.world = World("a", "b", "c", seed=seed, tick=500)
        self.servers, self.random = self.world.servers, self.world.schedule.random
        self.pollers = [Poller(self.world), Poller(self.world)]
        if self.random.random() < 0.2:
            self.servers.create_elsewhere(self._server(), "course-1")

    def run(self) -> None:
        self._poll_all()
        kinds = (
            self._client,
            self._client,
            self._client,
            self._poll,
            self._poll,
            self._operator,
            self._registrar,
            self._trouble,
            self._outage,
        )
        actors = [self.random.choice(kinds) for _ in range(self.random.randint(4, 7))]
        self.world.schedule.run(self._client, *actors)
        self._settle_down()

    def _server(self) -> int:
        return self.random.choice((1, 1, 2, 3))

    def _meeting(self) -> tuple[int, str]:
        """Tenant and meetingID."""
        tenant_id = 1 if self.random.random() < 0.8 else 2
        return tenant_id, self.random.choice(MEETINGS[: 1 + (self.random.random() < 0.2)])

    def _client(self) -> None:
        client = Client(self.world, *self._meeting())
        if self.random.random() < 0.1:
            self.world.doomed.add(getcurrent())
        try:
            for _ in range(self.random.randint(1, 2)):
                self.random.choice((client.create, client.create, client.come, client.end))()
        except Killed:
            self.world.schedule.note("a worker died")
        finally:
            self.world.doomed.discard(getcurrent())

    def _poll(self) -> None:
        poller = self.random.choice(self.pollers)
        for _ in range(self.random.randint(1, 4)):
            poller.poll(self._server())

    def _poll_all(self) -> None:
        for number in self.servers.meetings:
            self.pollers[0].poll(number)

    def _operator(self) -> None:
        operator, number = Operator(self.world, *self._meeting()), self._server()
        acts: list[Callable[[], None]] = [
            *(partial(operator.want, number, state) for state in AdminState),
            operator.give_up,
            operator.end,
        ]
        for _ in range(self.random.randint(1, 3)):
            self.random.choice(acts)()

    def _registrar(self) -> None:
        self._register_again(self._server())

    def _register_again(self, number: int) -> None:
        """Remove a node, and usually add it again."""
        operator = Operator(self.world, *self._meeting())
        force = self.random.random() < 0.7
        if not force:
            operator.want(number, AdminState.DRAINING)
        operator.remove(number, force=force)
        if self.random.random() < 0.7:
            operator.register(number, AdminState.ENABLED)
            self.random.choice(self.pollers).poll(number)

    def _trouble(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self.world.step()
            self.random.choice(
                (self._break, self._break, self._mend, self._restart, self._expire, self._be_late, self._wait)
            )()

    def _outage(self) -> None:
        """A node is away long enough to be noticed, and for some of its meetings to be moved."""
        number = self._server()
        self.servers.down.add(number)
        for _ in range(2):
            self._poll_all()
        self.world.skip(self.random.choice((20.0, 200.0)))
        if self.random.random() < 0.2:
            operator = Operator(self.world, *self._meeting())
            for each in self.servers.meetings:
                operator.want(each, AdminState.DRAINING)
        self._client()
        self.servers.down.discard(number)
        if self.random.random() < 0.2:
            self._register_again(number)
        if self.random.random() < 0.5:
            self._client()  # before a poll finds that it is back

    def _break(self) -> None:
        number = self._server()
        if self.random.random() < 0.5:
            self.servers.down.add(number)
            return
        fault: tuple[NodeError, bool] = self.random.choice(((SLOW, True), (SLOW, False), (GARBAGE, True)))
        self.servers.faults[number] = fault

    def _mend(self) -> None:
        self.servers.down.clear()
        self.servers.faults.clear()

    def _restart(self) -> None:
        self.servers.restart(self._server())

    def _expire(self) -> None:
        self.servers.expire(self._server())

    def _be_late(self) -> None:
        self.servers.create_late()

    def _wait(self) -> None:
        self.world.skip(self.random.choice((5.0, 40.0, 200.0)))

    def _settle_down(self) -> None:
        """Everything works again: no create may be half done, and no meeting left over on a node."""
        world, servers, table = self.world, self.servers, self.world.table
        world.doomed.clear()
        self._mend()
        servers.create_late()
        servers.ending.clear()
        world.skip(40)
        for _ in range(3):
            self._poll_all()
        assert not [row for row in table.rows if row.state is State.CREATING], "a create is left half done"
        alive = [row for row in table.rows if row.state in (State.RUNNING, State.LOST)]
        known = {(table.server_of(row), row.internal_meeting_id) for row in alive}
        known |= servers.created_elsewhere | servers.users
        for number, held in servers.meetings.items():
            for found in held.values():
                here = (number, found.internal_meeting_id)
                assert here in known or not world.to_be_closed(here), f"left over on node: {here}"
        for row in table.rows:
            if row.state is State.RUNNING:
                held = servers.meetings[table.server_of(row)]
                assert row.internal_meeting_id == held[row.meeting_id].internal_meeting_id, f"not there: {row}"


def play(seeds: range) -> None:
    for seed in seeds:
        current = Play(seed)
        try:
            current.run()
        except AssertionError as error:
            story = "\n".join(["", *current.world.schedule.story])
            raise AssertionError(f"seed {seed}: {error}{story}") from error


def test_nothing_that_must_never_happen_happens_in_any_order() -> None:
    play(range(SCHEDULES))


def _impatient(*, store: Any, nodes: Any, move_after: float) -> Creation:
    return Creation(store=store, nodes=nodes, move_after=0)


def _move_by_halves(rules: Creation, request: Any, meeting: Any, cause: str) -> None:
    rules.store.finish(meeting, State.LOST, cause)


def _move_unasked(rules: Creation, request: Any, meeting: Any, node: Any, unreachable_for: float) -> Any:
    if unreachable_for < rules.move_after or rules.store.mostly_unreachable():
        raise BBBError
    return rules._move(request, meeting, "its node was unreachable")


def _wherever_it_is(table: MeetingRows, other: Any, row: Any, node_id: int) -> bool:
    return True


def _end_by_any_poll(row: Any, meeting: Any, listing: Any, findings: Any) -> None:
    if meeting is None:
        findings.ended.append(row)


def _end_whenever_created(store: PollStore, rows: Any, poll_started: Any) -> None:
    for row in rows:
        store.table.change(store.table.row(row.id), state=State.ENDED)


def _forget_at_once(operator: Operator, meeting: LiveMeeting) -> None:
    table = operator.world.table
    table.change(table.row(meeting.id), state=State.ENDED)


def _take_a_removed_node_for_enabled(table: MeetingRows, node_id: int) -> bool:
    return node_id not in table.nodes or table.nodes[node_id].admin_state is AdminState.ENABLED


def _lose_nothing(table: MeetingRows, node_id: int) -> None:
    return


def _on_that_node_only(table: MeetingRows, other: Any, row: Any, node_id: int) -> bool:
    return table.node_of(other) == node_id


@pytest.mark.parametrize(
    ("mistakes", "message"),
    [
        ({"tests.unit.core.world.settle": settle_whatever_the_operator_wants}, "out of service|its node was removed"),
        ({"tests.unit.core.actors.Creation": _impatient}, "lost although its node may be there"),
        ({"balancer.core.creation.Creation._move": _move_by_halves}, "lost although no other node has taken it"),
        ({"balancer.core.creation.Creation._ask_or_move": _move_unasked}, "lost although its node was not asked"),
        ({"balancer.core.reconciliation._is_left_over": lambda *_: True}, "another client's"),
        ({"balancer.core.reconciliation._is_left_over": lambda *_: False}, "left over on node"),
        ({"tests.unit.core.meeting_rows.MeetingRows.may_be_the_same": _wherever_it_is}, "no row has it"),
        (
            {"tests.unit.core.meeting_rows.MeetingRows.may_be_the_same": _on_that_node_only},
            "another tenant's meeting was handed out",
        ),
        (
            {"tests.unit.core.meeting_rows.MeetingRows.is_enabled": _take_a_removed_node_for_enabled},
            "its node was removed",
        ),
        ({"tests.unit.core.meeting_rows.MeetingRows.lose_all": _lose_nothing}, "its node was removed"),
        ({"tests.unit.core.actors.end_at": end_whatever_has_the_name}, "no one asked for that"),
        ({"tests.unit.core.actors.Operator.note_end": _forget_at_once}, "forgotten while its node has it"),
        (
            {
                "balancer.core.reconciliation._compare_running": _end_by_any_poll,
                "tests.unit.core.poll_store.PollStore.end_running": _end_whenever_created,
            },
            "forgotten while its node has it",
        ),
    ],
)
def test_a_mistake_in_the_rules_is_found(
    monkeypatch: pytest.MonkeyPatch, mistakes: dict[str, Any], message: str
) -> None:
    for name, mistake in mistakes.items():
        monkeypatch.setattr(name, mistake)
    with pytest.raises(AssertionError, match=message):
        play(range(SCHEDULES))
