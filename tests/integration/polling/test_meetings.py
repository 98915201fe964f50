"""How polls change the rows of meetings, and what they never do to meetings."""

import asyncio

import pytest
from structlog.testing import CapturingLogger

from balancer.storage.postgresql.database import connect
from balancer.storage.postgresql.reconciliation import (
    ADOPTED,
    DISOWNED,
    FORGOTTEN,
    GONE,
    LEFT_OVER,
    NEVER_CREATED,
    RETURNED,
    TWIN,
)
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.whereabouts import Whereabouts
from lab.simulator.bbb_releases import PROFILES
from tests.eventually import until_async
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import PollRounds

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_a_listed_meeting_stays_and_its_first_user_is_noted(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    await poller.run_once()
    assert not fleet.row(row)["user_joined"]
    await fleet.users("bbb1", "course-1", 1)
    await poller.run_once()
    assert fleet.row(row)["user_joined"]
    assert fleet.states(row) == ["running"]
    assert fleet.causes(row) == []


async def test_the_most_users_that_were_there_at_once_are_noted(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    seen = []
    for arrivals in (0, 7, 5):
        await fleet.users("bbb1", "course-1", arrivals)
        await poller.run_once()
        seen.append(fleet.row(row)["peak_users"])
    await fleet.leave("bbb1", "course-1", 11)
    await poller.run_once()
    seen.append(fleet.row(row)["peak_users"])
    assert seen == [0, 7, 12, 12]


async def test_a_meeting_that_left_the_list_has_ended(
    poller: PollRounds, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1", end_delay=0.0)
    row = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    await poller.run_once()
    await fleet.call("bbb1", "end", meetingID="course-1")
    await until_async(lambda: fleet.is_empty("bbb1"))
    await poller.run_once()
    assert fleet.states(row) == ["ended"]
    assert fleet.row(row)["finished_at"] is not None
    assert len(fleet.causes(row)) == 1
    # The copy that joins are answered from says so too.
    assert Whereabouts(client).find(1, "course-1") is None


async def test_a_node_that_restarted_and_forgot_is_noticed_by_the_next_poll(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    seen = fleet.place("bbb1", "course-1", await fleet.create("bbb1", "course-1"))
    await poller.run_once()
    unseen = fleet.place("bbb1", "course-2", await fleet.create("bbb1", "course-2"))
    await fleet.servers["bbb1"].restart(0)
    await poller.run_once()
    assert fleet.states(seen, unseen) == ["ended", "ended"]
    # The node is asked about a meeting that no list ever showed; one that was listed a poll ago needs no question.
    assert fleet.causes(seen) == [GONE]
    assert fleet.causes(unseen) == [FORGOTTEN]
    (question,) = fleet.requests("bbb1", "getMeetingInfo")
    assert "course-2" in question.query


async def test_a_question_that_fails_leaves_the_meeting_alone(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    rows = [fleet.place("bbb1", name, await fleet.create("bbb1", name)) for name in ("course-1", "course-2")]
    await fleet.servers["bbb1"].restart(0)
    fleet.misbehave("bbb1", "error", calls=["getMeetingInfo"], times=1)
    await poller.run_once()
    assert fleet.states(*rows) == ["running", "running"]
    await poller.run_once()
    assert fleet.states(*rows) == ["ended", "ended"]


async def test_a_frozen_list_does_not_end_a_meeting_that_it_never_showed(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    old = fleet.place("bbb1", "old", await fleet.create("bbb1", "old"))
    fleet.misbehave("bbb1", "frozen")
    await poller.run_once()
    new = fleet.place("bbb1", "new", await fleet.create("bbb1", "new"))
    await poller.run_once()
    await poller.run_once()
    assert fleet.states(old, new) == ["running", "running"]


async def test_a_poll_begun_before_a_create_finished_never_ends_it(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.misbehave("bbb1", "slow", seconds=0.7, calls=["getMeetings"])
    # The list is that of a node without the meeting, and arrives after the meeting was created.
    fleet.misbehave("bbb1", "frozen", calls=["getMeetings"])
    await fleet.call("bbb1", "getMeetings")
    polling = asyncio.create_task(poller.run_once())

    async def asked() -> bool:
        return len(fleet.requests("bbb1", "getMeetings")) == 2

    await until_async(asked)
    created = await fleet.create("bbb1", "course-1")
    row = fleet.place("bbb1", "course-1", created, ago=0)
    assert await polling
    assert fleet.states(row) == ["running"]
    # Nor was the node asked by name: such a poll says nothing at all of this meeting.
    assert fleet.requests("bbb1", "getMeetingInfo") == []


async def test_a_create_that_finished_without_us_is_adopted(
    poller: PollRounds, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1")
    created = await fleet.create("bbb1", "course-1")
    row = fleet.place("bbb1", "course-1", state="creating", ago=60)
    await poller.run_once()
    assert fleet.states(row) == ["running"]
    assert fleet.row(row)["internal_meeting_id"] == created.internal
    assert fleet.row(row)["create_time"] == created.create_time
    assert fleet.row(row)["created_at"] is not None
    assert fleet.causes(row) == [ADOPTED]
    place = Whereabouts(client).find(1, "course-1")
    assert place is not None
    assert (place.row, place.node_id) == (row, fleet.nodes["bbb1"].id)


async def test_a_create_that_created_nothing_is_given_up(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", state="creating", ago=60)
    await poller.run_once()
    assert fleet.states(row) == ["ended"]
    assert fleet.causes(row) == [NEVER_CREATED]


async def test_a_create_that_may_still_be_under_way_is_left_alone(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    await fleet.create("bbb1", "there")
    rows = [fleet.place("bbb1", name, state="creating", ago=15) for name in ("there", "not-there")]
    await poller.run_once()
    assert fleet.states(*rows) == ["creating", "creating"]


async def test_what_a_timed_out_create_left_over_is_ended(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    row = fleet.place("bbb1", "course-1", state="lost", ago=10)
    created = await fleet.create("bbb1", "course-1")
    # The front end got its meeting on another node since.
    successor = fleet.place("bbb2", "course-1", await fleet.create("bbb2", "course-1"), ago=5)
    await poller.run_once()
    await until_async(lambda: fleet.is_empty("bbb1"))
    assert await fleet.meetings("bbb2") == {"course-1"}
    assert fleet.states(row, successor) == ["lost", "running"]
    assert fleet.row(row)["internal_meeting_id"] == created.internal
    await poller.run_once()
    assert fleet.causes(row) == [LEFT_OVER]


async def test_a_meeting_that_another_create_is_about_to_return_is_not_left_over(
    poller: PollRounds, fleet: Fleet, database_url: str
) -> None:
    await fleet.add("bbb1")
    lost, answered = [fleet.place("bbb1", "course-1", state="lost", ago=10) for _ in range(2)]
    created = await fleet.create("bbb1", "course-1")

    async def waits() -> bool:
        return fleet.rows.execute(WAITING).rowcount > 0

    with connect(database_url) as create:
        create.execute("SELECT FROM nodes FOR SHARE")
        create.execute(
            "UPDATE meetings SET state = 'running', internal_meeting_id = %s, create_time = %s,"
            " created_at = clock_timestamp(), finished_at = NULL WHERE id = %s",
            [created.internal, created.create_time, answered],
        )
        poll = asyncio.create_task(poller.run_once())
        await until_async(waits)
    await poll
    assert fleet.requests("bbb1", "end") == []
    assert fleet.states(lost, answered) == ["lost", "running"]
    assert fleet.row(lost)["internal_meeting_id"] is None


async def test_a_left_over_that_did_not_end_is_tried_again(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    fleet.misbehave("bbb1", "error", calls=["end"], times=1)
    await poller.run_once()
    assert len(fleet.requests("bbb1", "end")) == 1
    assert await fleet.meetings("bbb1") == {"course-1"}
    await poller.run_once()
    await until_async(lambda: fleet.is_empty("bbb1"))


async def test_a_left_over_with_a_user_in_it_is_not_ended(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    row = fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    await fleet.users("bbb1", "course-1", 1)
    await poller.run_once()
    assert await fleet.meetings("bbb1") == {"course-1"}
    assert fleet.row(row)["internal_meeting_id"] is None


async def test_a_namesake_from_another_time_is_not_ended(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    await fleet.create("bbb1", "course-1")
    # Our create was placed only after that meeting had begun: it cannot have made it.
    row = fleet.place("bbb1", "course-1", state="lost", ago=0)
    fleet.rows.execute("UPDATE meetings SET placed_at = clock_timestamp() + interval '5 s' WHERE id = %s", [row])
    # And this one timed out long before.
    await fleet.create("bbb1", "course-2")
    other = fleet.place("bbb1", "course-2", state="lost", ago=3000)
    await poller.run_once()
    assert await fleet.meetings("bbb1") == {"course-1", "course-2"}
    assert fleet.requests("bbb1", "end") == []
    assert fleet.states(row, other) == ["lost", "lost"]


async def test_a_meeting_that_another_row_knows_is_not_ended(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    lost = fleet.place("bbb1", "course-1", state="lost", ago=10)
    created = await fleet.create("bbb1", "course-1")
    running = fleet.place("bbb1", "course-1", created, ago=5)
    await poller.run_once()
    assert await fleet.meetings("bbb1") == {"course-1"}
    assert fleet.states(lost, running) == ["lost", "running"]


async def test_a_create_under_way_on_the_same_node_saves_the_left_over(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    fleet.place("bbb1", "course-1", state="creating", ago=1)
    await poller.run_once()
    assert await fleet.meetings("bbb1") == {"course-1"}


async def test_a_node_that_returns_brings_its_meetings_back(
    poller: PollRounds, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.add("bbb1", "bbb2")
    created = await fleet.create("bbb1", "course-1")
    running = fleet.place("bbb1", "course-1", created)
    moved = fleet.place("bbb1", "course-2", await fleet.create("bbb1", "course-2"))
    twin = fleet.place("bbb1", "course-3", await fleet.create("bbb1", "course-3"))
    await poller.run_once()
    fleet.misbehave("bbb1", "refuse")
    await poller.run_once()
    await poller.run_once()
    # Away is not gone: nothing changed.
    assert fleet.states(running, moved, twin) == ["running"] * 3
    # Two were given up while the node was away; one of them now runs on another node.
    fleet.rows.execute(
        "UPDATE meetings SET state = 'lost', finished_at = clock_timestamp() WHERE id = ANY(%s)", [[moved, twin]]
    )
    successor = fleet.place("bbb2", "course-3", await fleet.create("bbb2", "course-3"), ago=0)
    fleet.mend("bbb1")
    monkeypatch.setattr("balancer.storage.announcer.logger", logger := CapturingLogger())
    await poller.run_once()
    assert fleet.states(running, moved, twin, successor) == ["running", "running", "lost", "running"]
    assert fleet.causes(moved) == [RETURNED]
    assert await fleet.meetings("bbb1") == {"course-1", "course-2", "course-3"}
    assert fleet.requests("bbb1", "end") == []
    # The twin is reported once, however often it is listed, and continues once the other has ended.
    await poller.run_once()
    assert fleet.causes(twin) == [TWIN]
    (warning,) = [call for call in logger.calls if call.kwargs.get("row") == twin]
    assert (warning.args, warning.kwargs["node"], warning.kwargs["cause"]) == (("meeting changed",), "bbb1", TWIN)
    fleet.rows.execute("UPDATE meetings SET state = 'ended', finished_at = now() WHERE id = %s", [successor])
    await poller.run_once()
    assert fleet.states(twin) == ["running"]
    assert fleet.causes(twin) == [TWIN, RETURNED]


async def test_a_node_that_fails_changes_no_row_and_ends_nothing(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    rows = [
        fleet.place("bbb1", "running", await fleet.create("bbb1", "running")),
        fleet.place("bbb1", "creating", state="creating", ago=600),
        fleet.place("bbb1", "vanished", await fleet.create("bbb2", "vanished")),
    ]
    for kind in ("refuse", "error", "html", "truncated", "cut", "checksum"):
        fault = fleet.misbehave("bbb1", kind)
        await poller.run_once()
        assert fleet.states(*rows) == ["running", "creating", "running"], kind
        fleet.servers["bbb1"].mend(fault.number)
    assert fleet.requests("bbb1", "end") == []


async def test_a_left_over_is_ended_by_its_internal_id_and_with_its_password(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    answer = await fleet.call("bbb1", "create", meetingID="course-1", name="A meeting", moderatorPW="mo derator&1")
    await poller.run_once()
    (request,) = fleet.requests("bbb1", "end")
    named = f"meetingID={answer.findtext('internalMeetingID')}"
    assert request.query.startswith(f"{named}&password=mo%20derator%261&checksum=")


async def test_a_left_over_on_bbb_2_5_is_ended_by_its_meeting_id(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", profile=PROFILES["2.5"])
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.call("bbb1", "create", meetingID="course-1", name="A meeting", moderatorPW="moderator")
    await poller.run_once()
    (request,) = fleet.requests("bbb1", "end")
    assert request.query.startswith("meetingID=course-1&password=moderator&checksum=")
    await until_async(lambda: fleet.is_empty("bbb1"))


@pytest.mark.parametrize("release", ["2.5", "3.0"])
async def test_a_namesake_that_began_after_the_list_was_made_is_not_ended(
    poller: PollRounds, fleet: Fleet, release: str
) -> None:
    await fleet.add("bbb1", profile=PROFILES[release])
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    left_over = await fleet.create("bbb1", "course-1")
    # The node still lists a meeting that it has forgotten.
    fleet.misbehave("bbb1", "frozen", calls=["getMeetings"])
    await fleet.call("bbb1", "getMeetings")
    await fleet.servers["bbb1"].node.restart()
    namesake = await fleet.create("bbb1", "course-1")
    assert namesake.internal != left_over.internal
    await poller.run_once()
    assert fleet.requests("bbb1", "getMeetingInfo")
    assert fleet.requests("bbb1", "end") == []


async def test_a_left_over_that_a_user_joined_after_the_list_was_made_is_not_ended(
    poller: PollRounds, fleet: Fleet
) -> None:
    await fleet.add("bbb1")
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    # The node still lists the meeting as empty.
    fleet.misbehave("bbb1", "frozen", calls=["getMeetings"])
    await fleet.call("bbb1", "getMeetings")
    await fleet.users("bbb1", "course-1", 1)
    await poller.run_once()
    assert fleet.requests("bbb1", "getMeetingInfo")
    assert fleet.requests("bbb1", "end") == []


async def test_a_create_that_finished_without_us_on_a_drained_node_is_closed(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    await fleet.create("bbb1", "course-1")
    row = fleet.place("bbb1", "course-1", state="creating", ago=60)
    fleet.rows.execute("UPDATE nodes SET admin_state = 'draining'")
    await poller.run_once()
    assert fleet.states(row) == ["lost"]
    assert fleet.causes(row) == [DISOWNED]
    await poller.run_once()
    await until_async(lambda: fleet.is_empty("bbb1"))


async def test_a_node_whose_clock_is_wrong_is_understood(fleet: Fleet, poller: PollRounds) -> None:
    await fleet.add("bbb1")
    fleet.misbehave("bbb1", "skew", seconds=-7200)
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    await poller.run_once()
    assert len(fleet.requests("bbb1", "end")) == 1


async def test_a_createtime_that_contradicts_the_nodes_own_clock_is_not_ours(fleet: Fleet, poller: PollRounds) -> None:
    await fleet.add("bbb1")
    # Two hours old, while the node's Date header is right.
    fleet.misbehave("bbb1", "backdate", seconds=-7200)
    fleet.place("bbb1", "course-1", state="lost", ago=10)
    await fleet.create("bbb1", "course-1")
    await poller.run_once()
    assert fleet.requests("bbb1", "end") == []
    assert await fleet.meetings("bbb1") == {"course-1"}
