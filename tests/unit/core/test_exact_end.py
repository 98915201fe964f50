"""Ending a meeting at a node ends the one that was meant, and no other."""

import pytest

from balancer.core.exact_end import NotEndedError, end_at
from balancer.core.meetings import Upload, identity
from balancer.core.node_call import Answer
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import NodeError, NodeStatusError, NodeUnreachableError
from tests.unit.core.world import World, wanted


class OldWorld(World):
    """Its nodes are BBB 2.5: they find a meeting by its internalMeetingID, then fail."""

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        answer = super().call(node, name, parameters, upload)
        if answer.success and parameters.text("meetingID") == answer.text("internalMeetingID"):
            raise NodeStatusError(f"{node.name} answered with HTTP 500", 500)
        return answer


class BriskWorld(World):
    """Another meeting takes the place of one as soon as a call has looked it up."""

    def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
        answer = super().call(node, name, parameters, upload)
        if name == "getMeetingInfo":
            create_again(self)
        return answer


def create(world: World) -> str:
    world.place(wanted(), ())
    return identity(world.create(world.nodes[1], wanted().parameters, None)).internal_meeting_id


def create_again(world: World) -> str:
    world.servers.restart(1)
    return create(world)


def end(world: World, internal: str) -> bool:
    world.servers.asked_to_end.add((1, internal))
    return end_at(world, world.nodes[1], "course-1", internal)


@pytest.mark.parametrize("kind", [World, OldWorld])
def test_the_meeting_that_is_meant_is_ended(kind: type[World]) -> None:
    world = kind("a")
    assert end(world, create(world))
    assert world.servers.meetings[1] == {}


@pytest.mark.parametrize("kind", [World, OldWorld])
def test_a_meeting_that_is_over_is_not_ended_again(kind: type[World]) -> None:
    world = kind("a")
    internal = create(world)
    world.servers.restart(1)
    assert not end(world, internal)
    assert "end" not in {call for _, call in world.calls}


@pytest.mark.parametrize("kind", [World, OldWorld])
def test_another_meeting_of_that_id_is_not_ended(kind: type[World]) -> None:
    world = kind("a")
    before = create(world)
    create_again(world)
    with pytest.raises(NotEndedError, match="another meeting"):
        end(world, before)
    assert world.servers.meetings[1]


def test_a_meeting_that_is_created_between_the_calls_is_not_ended() -> None:
    world = BriskWorld("a")
    assert not end(world, create(world))
    assert world.servers.meetings[1]


@pytest.mark.parametrize(
    "error", [NodeUnreachableError("refused"), NodeError("no XML"), NodeStatusError("HTTP 502", 502)], ids=repr
)
def test_a_node_that_fails_to_answer_is_not_asked_for_the_other_id(error: NodeError) -> None:
    world = World("a")
    internal = create(world)
    world.servers.faults[1] = error, False
    with pytest.raises(type(error)):
        end(world, internal)
    assert [call for _, call in world.calls].count("getMeetingInfo") == 1


def test_a_node_that_fails_for_both_ids_is_an_error() -> None:
    world = World("a")
    internal = create(world)
    world.servers.faults[1] = NodeStatusError("HTTP 500", 500), False
    with pytest.raises(NodeStatusError):
        end(world, internal)
    assert world.servers.meetings[1]


def test_a_refusal_is_an_error() -> None:
    class Refusing(World):
        def call(self, node: Node, name: str, parameters: Parameters, upload: Upload | None = None) -> Answer:
            answer = super().call(node, name, parameters, upload)
            return Answer(False, "checksumError", "", answer.root, b"")

    world = Refusing("a")
    with pytest.raises(NotEndedError, match="checksumError"):
        end(world, create(world))
