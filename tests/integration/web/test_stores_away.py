"""PostgreSQL and Redis fail under a running site: what goes on, what fails clearly; nothing is lost or doubled.

What nobody lost is found out by the fixture, when the test is over.
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
from tests.integration.web.site import Site, until


@pytest.fixture
def known(request: pytest.FixtureRequest) -> str:
    """The meeting that was there before the fault."""
    return str(request.node.name)


def goes_on(site: Site, known: str) -> None:
    """What users in a running meeting, and those who come to it, need."""
    assert site.joins(known)
    assert site.succeeds("getMeetingInfo", meetingID=known)
    assert site.succeeds("isMeetingRunning", meetingID=known)


def test_postgresql_restarts_under_creates(site: Site, known: str) -> None:
    names = [f"{known}-{number}" for number in range(30)]

    def create_all() -> None:
        for name in names:
            site.create(name)

    creating = threading.Thread(target=create_all)
    creating.start()
    site.postgresql.stop()
    site.postgresql.start()
    creating.join()
    until(lambda: all(site.created(name) for name in names))
    site.sound(known, *names)


def test_postgresql_is_gone_for_a_minute(site: Site, known: str) -> None:
    later, polls = f"{known}-later", site.polls()
    until(lambda: site.polls() > polls + 3)  # what no poll has seen, PostgreSQL alone knows
    site.postgresql.stop()
    try:
        end = time.monotonic() + 60  # far longer than any patience or pause of the pool, and than a poll
        while time.monotonic() < end:
            goes_on(site, known)
            refused = site.create(later)
            assert refused.findtext("messageKey") == "internalError"
            assert "database" in (refused.findtext("message") or "")
            assert known in site.listed()
            time.sleep(0.5)
    finally:
        site.postgresql.start()
    assert site.cluster.rows(later) == []
    assert not [name for name in site.cluster.nodes if later in site.cluster.meetings(name)]
    # Each worker takes creates again at once, and all of them come to one meeting.
    until(lambda: site.created_by_all(later), within=15)
    assert [state for _, state in site.cluster.states(later)] == ["running"]
    assert [state for _, state in site.cluster.states(known)] == ["running"]


def test_a_meeting_is_ended_while_postgresql_is_gone(site: Site, known: str) -> None:
    ending = f"{known}-ending"
    assert site.created(ending)
    site.postgresql.stop()
    try:
        assert site.call("end", meetingID=ending).findtext("messageKey") == "sentEndMeetingRequest"
        (told,) = [line for line in site.server.log.read_text().splitlines() if '"end not noted"' in line]
        assert json.loads(told)["meeting_id"] == ending
    finally:
        site.postgresql.start()
    # Nobody asks for it again: the poller alone finds out.
    until(lambda: [state for _, state in site.cluster.states(ending)] == ["ended"])
    assert "its node took an end from the front end" not in site.cluster.causes(ending)
    # Its copy in Redis is forgotten after the row has ended.
    until(lambda: not site.joins(ending))


def test_postgresql_only_reads(site: Site, known: str) -> None:
    def only_reads(value: str) -> None:
        with psycopg.connect(site.postgresql.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")

    only_reads("on")
    try:
        # Always another one: a meeting that was created before the setting took hold goes on being handed out.
        names = (f"{known}-refused-{number}" for number in itertools.count())
        until(lambda: "database" in (site.create(next(names)).findtext("message") or ""))
        goes_on(site, known)
        assert site.succeeds("getMeetings")
        # A create of a meeting that runs writes nothing.
        until(lambda: site.created(known))
    finally:
        only_reads("off")
    # What failed meanwhile leaves nothing behind: neither on a connection nor of a meeting.
    for number in range(8):
        until(lambda number=number: site.created(f"{known}-{number}"))


def test_redis_is_wiped(site: Site, known: str) -> None:
    with client(site) as redis_client:
        redis_client.flushall()
    assert known in site.listed()
    goes_on(site, known)
    assert site.create(known).findtext("messageKey") == "duplicateWarning"
    until(lambda: known in site.listed())


def test_redis_is_wiped_and_then_postgresql_is_gone(site: Site, known: str) -> None:
    home = str(site.cluster.nodes[site.cluster.home(known)].id)
    with client(site) as redis_client:
        redis_client.flushall()
        # Nobody asks for the meeting meanwhile.
        until(lambda: redis_client.exists(keys.location(1, known)) > 0)
        # What no poll has seen is listed from PostgreSQL alone.
        until(lambda: redis_client.hexists(keys.SNAPSHOT_XML, home))
    site.postgresql.stop()
    try:
        goes_on(site, known)
        assert known in site.listed()
    finally:
        site.postgresql.start()


def test_postgresql_hangs(site: Site, known: str) -> None:
    """With more creates at once than there are threads; each is answered, and joins go on."""
    names = [f"{known}-{number}" for number in range(80)]
    time.sleep(6)  # what was looked at for placing serves no more, and no connection was used a moment ago
    with ThreadPoolExecutor(len(names)) as front_ends:
        with site.postgresql.hanging():
            creating = [front_ends.submit(site.create, name) for name in names]
            waits = []
            while not all(each.done() for each in creating):
                asked = time.monotonic()
                assert site.joins(known)
                waits.append(time.monotonic() - asked)
                time.sleep(0.5)
            # Not as long as a create waits for the database: threads become free before.
            assert max(waits) < 9, waits
            answers = [each.result().findtext("messageKey") for each in creating]
            assert answers == ["internalError"] * len(names)
            goes_on(site, known)
        until(lambda: site.created(names[0]))
    site.sound(known, names[0])


def test_redis_restarts_empty(site: Site, known: str) -> None:
    site.redis.stop()
    site.redis.start()
    goes_on(site, known)
    until(lambda: known in site.listed())


def test_redis_is_gone(site: Site, known: str) -> None:
    site.redis.stop()
    try:
        goes_on(site, known)
        assert site.created(f"{known}-later")
        assert site.call("getMeetings").findtext("messageKey") == "internalError"
    finally:
        site.redis.start()


def test_redis_hangs(site: Site, known: str) -> None:
    assert site.redis.process
    os.kill(site.redis.process.pid, signal.SIGSTOP)
    try:
        goes_on(site, known)
        assert site.created(f"{known}-later")
        assert site.call("getMeetings").findtext("messageKey") == "internalError"
    finally:
        os.kill(site.redis.process.pid, signal.SIGCONT)


def test_redis_is_full(site: Site, known: str) -> None:
    with client(site) as redis_client:
        redis_client.config_set("maxmemory", "1")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                redis_client.set("x", "y")
            goes_on(site, known)
            assert site.created(f"{known}-later")
            assert site.joins(f"{known}-later")
            assert {known, f"{known}-later"} <= site.listed()
        finally:
            redis_client.config_set("maxmemory", "0")
    until(lambda: f"{known}-later" in site.listed())


@contextmanager
def client(site: Site) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(site.redis.url()) as opened:
        yield opened
