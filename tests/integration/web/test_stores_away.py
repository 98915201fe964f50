"""PostgreSQL and Redis fail under a running site: some calls go on, others fail clearly, no meeting is lost or doubled.

The fixture checks after each test that nothing was lost.
"""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import redis

from balancer.storage.redis import keys
from tests.eventually import until
from tests.integration.web.site import Site


@pytest.fixture
def meeting(request: pytest.FixtureRequest) -> str:
    """The meeting that was created before the fault."""
    return str(request.node.name)


def goes_on(site: Site, meeting: str) -> None:
    """Everything that users of a running meeting, and users who join it, need."""
    assert site.joins(meeting)
    assert site.succeeds("getMeetingInfo", meetingID=meeting)
    assert site.succeeds("isMeetingRunning", meetingID=meeting)


def test_postgresql_restarts_under_creates(site: Site, meeting: str) -> None:
    names = [f"{meeting}-{number}" for number in range(30)]

    def create_all() -> None:
        for name in names:
            site.create(name)

    creating = threading.Thread(target=create_all)
    creating.start()
    site.postgresql.stop()
    site.postgresql.start()
    creating.join()
    until(lambda: all(site.created(name) for name in names))
    site.sound(meeting, *names)


def test_postgresql_is_gone_for_a_minute(site: Site, meeting: str) -> None:
    later, polls = f"{meeting}-later", site.polls()
    until(lambda: site.polls() > polls + 3)  # until a poll has seen the meeting; only PostgreSQL knows younger ones
    site.postgresql.stop()
    try:
        end = time.monotonic() + 60  # far longer than any timeout or pause of the pool, and than a poll
        while time.monotonic() < end:
            goes_on(site, meeting)
            refused = site.create(later)
            assert refused.findtext("messageKey") == "internalError"
            assert "database" in (refused.findtext("message") or "")
            assert meeting in site.listed()
            time.sleep(0.5)
    finally:
        site.postgresql.start()
    assert site.cluster.rows(later) == []
    assert not [name for name in site.cluster.nodes if later in site.cluster.meetings(name)]
    # Each worker accepts creates again at once, and all of them find one meeting.
    until(lambda: site.created_by_all(later), within=15)
    assert [state for _, state in site.cluster.states(later)] == ["running"]
    assert [state for _, state in site.cluster.states(meeting)] == ["running"]


def test_a_meeting_is_ended_while_postgresql_is_gone(site: Site, meeting: str) -> None:
    ending = f"{meeting}-ending"
    assert site.created(ending)
    site.postgresql.stop()
    try:
        assert site.call("end", meetingID=ending).findtext("messageKey") == "sentEndMeetingRequest"
        (line,) = [line for line in site.server.log.read_text().splitlines() if '"end not noted"' in line]
        assert json.loads(line)["meeting_id"] == ending
    finally:
        site.postgresql.start()
    # No request is for this meeting again: the poller finds out.
    until(lambda: [state for _, state in site.cluster.states(ending)] == ["ended"])
    assert "its node took an end from the front end" not in site.cluster.causes(ending)
    # Its copy in Redis is deleted after the row has ended.
    until(lambda: not site.joins(ending))


def test_postgresql_is_read_only(site: Site, meeting: str) -> None:
    def read_only(value: str) -> None:
        with psycopg.connect(site.postgresql.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")

    read_only("on")
    try:
        # A new name each time: a meeting that was created before the setting took effect is still handed out.
        names = (f"{meeting}-refused-{number}" for number in itertools.count())
        until(lambda: "database" in (site.create(next(names)).findtext("message") or ""))
        goes_on(site, meeting)
        assert site.succeeds("getMeetings")
        # A create of a running meeting writes nothing.
        until(lambda: site.created(meeting))
    finally:
        read_only("off")
    # The failures left nothing behind, neither on a connection nor a meeting.
    for number in range(8):
        until(lambda number=number: site.created(f"{meeting}-{number}"))


def test_redis_is_wiped(site: Site, meeting: str) -> None:
    with client(site) as redis_client:
        redis_client.flushall()
    assert meeting in site.listed()
    goes_on(site, meeting)
    assert site.create(meeting).findtext("messageKey") == "duplicateWarning"
    until(lambda: meeting in site.listed())


def test_redis_is_wiped_and_then_postgresql_is_gone(site: Site, meeting: str) -> None:
    home = str(site.cluster.nodes[site.cluster.home(meeting)].id)
    with client(site) as redis_client:
        redis_client.flushall()
        # No request asks for the meeting in the meantime.
        until(lambda: redis_client.exists(keys.location(1, meeting)) > 0)
        # Meetings that no poll has seen are listed from PostgreSQL only.
        until(lambda: redis_client.hexists(keys.SNAPSHOT_XML, home))
    site.postgresql.stop()
    try:
        goes_on(site, meeting)
        assert meeting in site.listed()
    finally:
        site.postgresql.start()


def test_postgresql_hangs(site: Site, meeting: str) -> None:
    """With more creates at once than threads: each is answered, and joins go on."""
    names = [f"{meeting}-{number}" for number in range(80)]
    time.sleep(6)  # until the outlook for placements is too old, and all connections are idle
    with ThreadPoolExecutor(len(names)) as front_ends:
        with site.postgresql.hanging():
            creating = [front_ends.submit(site.create, name) for name in names]
            waits = []
            while not all(each.done() for each in creating):
                asked = time.monotonic()
                assert site.joins(meeting)
                waits.append(time.monotonic() - asked)
                time.sleep(0.5)
            # Less than a create waits for the database, because threads become free earlier.
            assert max(waits) < 9, waits
            answers = [each.result().findtext("messageKey") for each in creating]
            assert answers == ["internalError"] * len(names)
            goes_on(site, meeting)
        until(lambda: site.created(names[0]))
    site.sound(meeting, names[0])


def test_redis_restarts_empty(site: Site, meeting: str) -> None:
    site.redis.stop()
    site.redis.start()
    goes_on(site, meeting)
    until(lambda: meeting in site.listed())


def test_redis_is_gone(site: Site, meeting: str) -> None:
    site.redis.stop()
    try:
        goes_on(site, meeting)
        assert site.created(f"{meeting}-later")
        assert site.call("getMeetings").findtext("messageKey") == "internalError"
    finally:
        site.redis.start()


def test_redis_hangs(site: Site, meeting: str) -> None:
    assert site.redis.process
    os.kill(site.redis.process.pid, signal.SIGSTOP)
    try:
        goes_on(site, meeting)
        assert site.created(f"{meeting}-later")
        assert site.call("getMeetings").findtext("messageKey") == "internalError"
    finally:
        os.kill(site.redis.process.pid, signal.SIGCONT)


def test_redis_is_full(site: Site, meeting: str) -> None:
    with client(site) as redis_client:
        redis_client.config_set("maxmemory", "1")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                redis_client.set("x", "y")
            goes_on(site, meeting)
            assert site.created(f"{meeting}-later")
            assert site.joins(f"{meeting}-later")
            assert {meeting, f"{meeting}-later"} <= site.listed()
        finally:
            redis_client.config_set("maxmemory", "0")
    until(lambda: f"{meeting}-later" in site.listed())


@contextmanager
def client(site: Site) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(site.redis.url()) as opened:
        yield opened
