"""Snapshots in a real Redis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balancer.core.meeting_list import Part
from balancer.core.nodes import Snapshot
from balancer.errors import StorageUnavailableError
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from balancer.storage.redis.snapshots import Snapshots

START = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
FIRST = Snapshot(
    node_id=7,
    fencing=3,
    poll_started=START,
    polled=START + timedelta(milliseconds=40),
    users=12,
    video=4,
    participants={"a-1": 10, "ü-2": 2},
    bbb_version="3.0.4",
)
XML = {"a-1": "<meeting><meetingName>Größe 😀 &amp; co</meetingName></meeting>"}


@pytest.fixture
def snapshots(client: redis_client.Redis) -> Snapshots:
    return Snapshots(client)


def test_a_snapshot_is_read_as_it_was_written(snapshots: Snapshots) -> None:
    assert snapshots.write(FIRST, XML)
    assert snapshots.all() == {7: FIRST}


def test_the_xml_is_read_character_for_character_with_its_age(snapshots: Snapshots) -> None:
    snapshots.write(FIRST, XML)
    found = snapshots.xml([7, 8])
    assert list(found) == [7]
    assert found[7].meetings == XML
    assert found[7].poll_started == START


def test_the_xml_is_decoded_again_only_after_a_poll(snapshots: Snapshots, client: redis_client.Redis) -> None:
    snapshots.write(FIRST, XML)
    assert snapshots.xml([7])[7].meetings == XML
    client.hset(keys.SNAPSHOT_XML, "7", "not JSON")
    assert snapshots.xml([7])[7].meetings == XML
    later = replace(FIRST, poll_started=START + timedelta(seconds=10))
    snapshots.write(later, {})
    assert snapshots.xml([7])[7] == Part(later.poll_started, {})


def test_no_node_needs_no_command(snapshots: Snapshots) -> None:
    assert snapshots.xml([]) == {}


@pytest.mark.parametrize(
    ("fencing", "seconds_later", "written"),
    [
        (4, -60, True),  # a newer holder, whatever its clock says
        (3, 10, True),  # the same holder's next poll
        (3, 0, True),  # the same poll again
        (3, -10, False),  # a slow earlier poll of the same holder
        (2, 60, False),  # a holder that lost its lease
    ],
)
def test_an_older_holder_or_poll_never_overwrites(
    snapshots: Snapshots, fencing: int, seconds_later: int, written: bool
) -> None:
    snapshots.write(FIRST, XML)
    later = replace(FIRST, fencing=fencing, poll_started=START + timedelta(seconds=seconds_later), users=99)
    assert snapshots.write(later, {}) is written
    assert snapshots.all()[7] == (later if written else FIRST)
    assert snapshots.xml([7])[7].meetings == ({} if written else XML)


def test_fencing_numbers_are_compared_as_numbers(snapshots: Snapshots) -> None:
    snapshots.write(replace(FIRST, fencing=9), XML)
    assert snapshots.write(replace(FIRST, fencing=10), XML)


def test_nodes_do_not_affect_each_other(snapshots: Snapshots) -> None:
    snapshots.write(FIRST, XML)
    other = replace(FIRST, node_id=8, fencing=1)
    assert snapshots.write(other, {})
    assert snapshots.all() == {7: FIRST, 8: other}


def test_a_removed_node_leaves_nothing(snapshots: Snapshots, client: redis_client.Redis) -> None:
    snapshots.write(FIRST, XML)
    snapshots.write(replace(FIRST, node_id=8), XML)
    snapshots.keep_only([8])
    assert list(snapshots.all()) == [8]
    assert list(snapshots.xml([7, 8])) == [8]
    snapshots.keep_only([])
    assert client.keys("*") == []


def test_after_a_wipe_the_next_poll_is_written(snapshots: Snapshots, client: redis_client.Redis) -> None:
    snapshots.write(FIRST, XML)
    client.flushall()
    assert snapshots.all() == {}
    # Redis also forgets its scripts when it restarts; the client loads them again.
    client.script_flush()
    assert snapshots.write(replace(FIRST, poll_started=START - timedelta(seconds=1)), XML)


def test_without_redis_every_method_raises_our_error(tmp_path: Path) -> None:
    with redis_client.connect(f"unix://{tmp_path}/nothing.sock") as client:
        snapshots = Snapshots(client)
        for call in (lambda: snapshots.write(FIRST, XML), snapshots.all, lambda: snapshots.xml([1])):
            with pytest.raises(StorageUnavailableError, match="Redis"):
                call()
