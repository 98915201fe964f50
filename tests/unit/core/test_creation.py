"""create, step by step, and in every order in which other actors may interfere."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from balancer.core.creation import Creation
from balancer.core.health import Health
from balancer.core.meetings import State, identity
from balancer.core.node_call import Answer
from balancer.core.nodes import AdminState, ObservedState
from balancer.errors import BBBError, NodeError, NoNodeAvailableError
from tests.unit.core.servers import GARBAGE, SLOW, UNREACHABLE
from tests.unit.core.world import MOVE_AFTER, World, wanted


def lose_contact(world: World, node_id: int, seconds: float) -> None:
    """The poller has found the node unreachable for so many seconds."""
    since = world.schedule.now - timedelta(seconds=seconds)
    world.observe(node_id, Health(state=ObservedState.UNREACHABLE, reason="connect", since=since))


def away(world: World, node_id: int, seconds: float) -> None:
    """The node gives no answer, and the poller has known that for so many seconds."""
    lose_contact(world, node_id, seconds)
    world.servers.faults[node_id] = (UNREACHABLE, False)


def internal(answers: Sequence[Answer]) -> set[str]:
    return {answer.text("internalMeetingID") for answer in answers}


def create(world: World, meeting_id: str = "course-1") -> Answer:
    return Creation(store=world, nodes=world, move_after=MOVE_AFTER).create(wanted(meeting_id))


def test_a_new_meeting_is_placed_created_and_running() -> None:
    world = World("a", "b")
    assert create(world).success
    assert world.states() == [("a", "running")]


def test_a_repeated_create_places_nothing() -> None:
    world = World("a", "b")
    first, second = create(world), create(world)
    assert second.message_key == "duplicateWarning"
    assert internal([first, second]) == {world.table.row(1).internal_meeting_id}


@pytest.mark.parametrize(
    ("error", "carried_out", "state"),
    [(UNREACHABLE, False, "ended"), (SLOW, False, "lost"), (SLOW, True, "lost"), (GARBAGE, True, "lost")],
)
def test_if_a_node_fails_the_next_one_is_tried(error: NodeError, carried_out: bool, state: str) -> None:
    world = World("a", "b")
    world.servers.faults[1] = (error, carried_out)
    assert create(world).success
    assert world.states() == [("a", state), ("b", "running")]
    assert f"create failed: {error}" in world.causes


def test_after_two_timeouts_no_third_node_is_tried() -> None:
    world = World("a", "b", "c")
    world.servers.faults = dict.fromkeys((1, 2, 3), (SLOW, False))
    with pytest.raises(NoNodeAvailableError, match="try again"):
        create(world)
    assert [call for _, call in world.calls] == ["create", "create"]


def test_after_refused_connections_all_nodes_are_tried() -> None:
    world = World("a", "b", "c", "d")
    world.servers.faults = dict.fromkeys((1, 2, 3), (UNREACHABLE, False))
    assert create(world).success
    assert world.states()[-1] == ("d", "running")


def test_the_node_s_refusal_is_the_answer_and_leaves_no_live_row() -> None:
    world = World("a")
    world.servers.refusals[1] = "validationError"
    assert create(world).message_key == "validationError"
    assert world.states() == [("a", "ended")]


def test_a_meeting_that_the_node_has_with_other_passwords_gets_its_row() -> None:
    world = World("a")
    create(world)
    world.table.rows.clear()
    world.servers.refusals[1] = "idNotUnique"
    assert create(world).message_key == "idNotUnique"
    assert world.states() == [("a", "running")]


def test_a_running_meeting_does_not_move_because_its_node_failed_once() -> None:
    world = World("a", "b")
    create(world)
    world.servers.faults[1] = (SLOW, False)
    with pytest.raises(NodeError):
        create(world)
    assert world.states() == [("a", "running")]


@pytest.mark.parametrize(("seconds", "moved"), [(0.0, False), (179.9, False), (180.0, True), (9e9, True)])
def test_a_meeting_moves_only_after_its_node_was_away_long_enough(seconds: float, moved: bool) -> None:
    world = World("a", "b")
    create(world)
    away(world, 1, seconds)
    if moved:
        assert create(world).success
        assert world.states() == [("a", "lost"), ("b", "running")]
        assert world.calls[1:] == [("a", "getMeetingInfo"), ("b", "create")]
    else:
        with pytest.raises(BBBError, match="cannot be reached"):
            create(world)
        assert world.states() == [("a", "running")]
        assert world.calls == [("a", "create")]


@pytest.mark.parametrize("state", AdminState)
def test_a_meeting_goes_on_if_its_node_answers_and_has_it(state: AdminState) -> None:
    world = World("a", "b")
    first = create(world)
    lose_contact(world, 1, 9e9)
    world.set_state(1, state)
    again = create(world)
    assert again.message_key == "duplicateWarning"
    assert internal([first, again]) == {world.table.row(1).internal_meeting_id}
    assert world.states() == [("a", "running")]
    assert world.calls[1:] == [("a", "getMeetingInfo"), ("a", "create")]


def test_a_meeting_is_placed_again_if_its_node_answers_without_it() -> None:
    world = World("a", "b")
    create(world)
    lose_contact(world, 1, 9e9)
    world.servers.restart(1)
    assert create(world).success
    assert world.states() == [("a", "ended"), ("b", "running")]
    assert world.causes == ["its node does not know it"]


def test_another_meeting_that_its_node_reports_replaces_it() -> None:
    world = World("a", "b")
    create(world)
    lose_contact(world, 1, 9e9)
    world.servers.restart(1)
    created = identity(world.create(world.nodes[1], wanted().parameters, None))
    assert create(world).text("internalMeetingID") == created.internal_meeting_id
    assert world.states() == [("a", "ended"), ("a", "running")]


def test_a_meeting_stays_if_no_other_node_is_fit() -> None:
    world = World("a", "b")
    create(world)
    away(world, 1, 9e9)
    world.set_state(2, AdminState.DRAINING)
    with pytest.raises(NoNodeAvailableError):
        create(world)
    assert world.states() == [("a", "running")]
    world.set_state(2, AdminState.ENABLED)
    assert create(world).success
    assert world.states() == [("a", "lost"), ("b", "running")]


def test_the_meeting_s_own_node_counts_towards_the_two_timeouts() -> None:
    world = World("a", "b", "c", "d")
    create(world)
    lose_contact(world, 1, 9e9)
    world.servers.faults = dict.fromkeys((1, 2, 3, 4), (SLOW, False))
    with pytest.raises(NoNodeAvailableError, match="try again"):
        create(world)
    assert world.calls[1:] == [("a", "getMeetingInfo"), ("b", "create")]


def test_concurrent_creates_move_a_meeting_once() -> None:
    for seed in range(200):
        world = World("a", "b", "c", seed=seed)
        create(world)
        away(world, 1, 9e9)
        answers: list[Answer] = []

        def client(world: World = world, answers: list[Answer] = answers) -> None:
            answers.append(create(world))

        world.schedule.run(client, client, client)
        assert len(internal(answers)) == 1, f"seed {seed}: {world.table.rows}"
        assert world.states() == [("a", "lost"), ("b", "running")], f"seed {seed}"


def test_nothing_moves_while_most_nodes_are_away() -> None:
    world = World("a", "b", "c")
    create(world)
    lose_contact(world, 1, 9999.0)
    lose_contact(world, 2, 9999.0)
    with pytest.raises(BBBError, match="cannot be reached"):
        create(world)


@pytest.mark.parametrize("state", [AdminState.DRAINING, AdminState.DISABLED])
def test_on_a_node_out_of_service_a_running_meeting_goes_on_and_an_ended_one_moves(state: AdminState) -> None:
    world = World("a", "b")
    create(world)
    world.set_state(1, state)
    assert create(world).message_key == "duplicateWarning"
    world.servers.restart(1)
    assert create(world).message_key == ""
    assert world.states() == [("a", "ended"), ("b", "running")]
    assert not world.created_out_of_service


def test_a_removed_node_s_meeting_is_placed_again() -> None:
    world = World("a", "b")
    create(world)
    del world.nodes[1]
    assert create(world).success
    assert world.states() == [("", "lost"), ("b", "running")]


@pytest.mark.parametrize("change", ["draining", "unreachable"])
def test_an_unfinished_create_on_a_node_out_of_service_is_given_up(change: str) -> None:
    world = World("a", "b")
    world.place(wanted(), ())
    if change == "draining":
        world.set_state(1, AdminState.DRAINING)
    else:
        lose_contact(world, 1, 1.0)
    assert create(world).success
    assert world.states() == [("a", "lost"), ("b", "running")]


def test_another_create_s_row_is_not_ended_when_this_create_is_refused() -> None:
    world = World("a", "b")
    world.place(wanted(), ())
    world.servers.refusals[1] = "validationError"
    assert create(world).message_key == "validationError"
    assert world.states() == [("a", "creating")]
    # The other create's call may have had an effect on the node that refuses this one.
    world.servers.faults[1] = (UNREACHABLE, False)
    assert create(world).success
    assert world.states() == [("a", "lost"), ("b", "running")]


def test_a_meeting_created_on_a_node_out_of_service_is_not_handed_out() -> None:
    for seed in range(200):
        world = World("a", "b", seed=seed)
        create(world)

        def trouble(world: World = world) -> None:
            world.schedule.step()
            world.servers.restart(1)
            world.set_state(1, AdminState.DRAINING)

        def client(world: World = world) -> None:
            given = create(world).text("internalMeetingID")
            assert given not in world.created_out_of_service

        world.schedule.run(client, client, trouble)
        assert [row.state for row in world.table.rows].count(State.RUNNING) == 1, f"seed {seed}: {world.table.rows}"


def test_concurrent_creates_and_faults_never_make_two_meetings() -> None:
    """Three creates of one meetingID while its node may fail, restart or be taken out of service."""
    for seed in range(400):
        world = World("a", "b", "c", seed=seed)
        handed_out: list[Answer] = []

        def client(world: World = world, handed_out: list[Answer] = handed_out) -> None:
            try:
                answer = create(world)
            except (NoNodeAvailableError, NodeError):
                return
            handed_out.append(answer)
            given = answer.text("internalMeetingID")
            assert given not in world.created_out_of_service
            assert any(row.internal_meeting_id == given and row.handed_out for row in world.table.rows)

        def trouble(world: World = world, seed: int = seed) -> None:
            if seed % 4 == 0:
                world.set_state(1, AdminState.DRAINING)
            elif seed % 4 == 1:
                world.servers.faults[1] = (SLOW, seed % 8 == 1)
            elif seed % 4 == 2:
                world.schedule.step()
                world.servers.restart(1)

        world.schedule.run(client, client, client, trouble)
        assert handed_out, f"seed {seed}: no client got a meeting"
        if seed % 4 != 2:
            assert len(internal(handed_out)) == 1, f"seed {seed}: {world.table.rows}"
        assert [row.state for row in world.table.rows].count(State.RUNNING) == 1, f"seed {seed}: {world.table.rows}"
        assert not [row for row in world.table.rows if row.state is State.CREATING], f"seed {seed}: {world.table.rows}"
