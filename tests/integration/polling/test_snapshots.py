"""What a poll writes to Redis."""

from datetime import timedelta

from balancer.storage.postgresql import clock
from balancer.storage.redis import client as redis_client
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import PollRounds


async def test_a_snapshot_has_users_meetings_and_age(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2", reveal_version=True)
    first, second = await fleet.create("bbb1", "course-1"), await fleet.create("bbb1", "course-2")
    await fleet.users("bbb1", "course-1", 3)
    before = clock.now(fleet.rows)
    assert await poller.run_once()
    seen = fleet.snapshots.all()
    assert seen.keys() == {node.id for node in fleet.nodes.values()}
    busy, idle = seen[fleet.nodes["bbb1"].id], seen[fleet.nodes["bbb2"].id]
    assert busy.participants == {first.internal: 3, second.internal: 0}
    assert (busy.users, busy.meetings) == (3, 2)
    assert (idle.users, idle.meetings) == (0, 0)
    assert before < busy.poll_started <= busy.polled
    assert busy.age(clock.now(fleet.rows)) < timedelta(seconds=30)
    assert busy.bbb_version.startswith("3.0")


async def test_the_xml_of_each_meeting_is_kept_for_getmeetings(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    created = await fleet.create("bbb1", "course-1")
    await poller.run_once()
    node_id = fleet.nodes["bbb1"].id
    found = fleet.snapshots.xml([node_id])[node_id]
    assert found.poll_started == fleet.snapshots.all()[node_id].poll_started
    xml = found.meetings[created.internal]
    assert xml.startswith("<meeting>")
    assert xml.endswith("</meeting>")
    assert "<meetingID>course-1</meetingID>" in xml


async def test_one_getmeetings_a_node_and_poll(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    for _ in range(3):
        await poller.run_once()
    assert len(fleet.requests("bbb1", "getMeetings")) == 3


async def test_a_wiped_redis_is_full_again_after_one_poll(
    poller: PollRounds, fleet: Fleet, client: redis_client.Redis
) -> None:
    await fleet.add("bbb1", "bbb2")
    await poller.run_once()
    before = fleet.snapshots.all()
    client.flushall()
    assert fleet.snapshots.all() == {}
    assert await poller.run_once()
    after = fleet.snapshots.all()
    assert after.keys() == before.keys()
    # The wiped lease was taken again, under a greater number.
    assert all(after[node].fencing > before[node].fencing for node in after)


async def test_a_removed_node_leaves_no_snapshot(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2")
    await poller.run_once()
    fleet.rows.execute("DELETE FROM nodes WHERE name = 'bbb1'")
    await poller.run_once()
    assert fleet.snapshots.all().keys() == {fleet.nodes["bbb2"].id}


async def test_meetings_that_were_not_created_through_us_count_as_load_and_are_not_changed(
    poller: PollRounds, fleet: Fleet
) -> None:
    await fleet.add("bbb1")
    created = await fleet.create("bbb1", "somebody-elses")
    await poller.run_once()
    await poller.run_once()
    assert fleet.snapshots.all()[fleet.nodes["bbb1"].id].participants == {created.internal: 0}
    assert await fleet.meetings("bbb1") == {"somebody-elses"}
    assert fleet.rows.execute("SELECT FROM meetings").rowcount == 0
