"""The poller's lease with real stores; the holder that dies is a real process."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from balancer.errors import StorageUnavailableError
from balancer.storage.lease import Lease
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
from balancer.storage.redis import keys
from lab.services import PostgreSQL
from tests.manual_clock import Clock

TTL = 30.0
#: Short enough to wait for it; a holder that renews ten times as often is never late.
SHORT_TTL = 2.0

HOLDER = """
import sys, time
from balancer.storage.lease import Lease
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
database = Database(sys.argv[1], application_name="holder")
database.open()
lease = Lease("poller", redis_client.connect(sys.argv[2]), database, ttl=float(sys.argv[3]))
while True:
    print(lease.hold(), flush=True)
    time.sleep(float(sys.argv[3]) / 10)
"""


@pytest.fixture
def first(client: redis_client.Redis, database: Database, clock: Clock) -> Lease:
    return Lease("poller", client, database, ttl=TTL, clock=clock)


@pytest.fixture
def second(client: redis_client.Redis, database: Database, clock: Clock) -> Lease:
    return Lease("poller", client, database, ttl=TTL, clock=clock)


def test_one_process_holds_it_and_the_other_does_not(first: Lease, second: Lease) -> None:
    held = first.hold()
    assert held is not None
    assert second.hold() is None
    assert second.fencing is None
    assert first.fencing == held


def test_renewing_keeps_the_number(first: Lease) -> None:
    assert first.hold() == first.hold()


def test_every_new_holder_has_a_greater_number(first: Lease, second: Lease) -> None:
    numbers = []
    for lease in (first, second, first):
        numbers.append(lease.hold())
        lease.release()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 3


def test_a_wiped_redis_never_lowers_the_number(first: Lease, second: Lease, client: redis_client.Redis) -> None:
    before = first.hold()
    assert before is not None
    client.flushall()
    after = second.hold()
    assert after is not None
    assert after > before
    # The old holder notices at its next renewal, and does not take the lease back.
    assert first.hold() is None
    assert first.fencing is None
    assert second.hold() == after


def test_the_only_process_takes_a_wiped_lease_again_with_a_new_number(first: Lease, client: redis_client.Redis) -> None:
    before = first.hold()
    client.flushall()
    after = first.hold()
    assert before is not None
    assert after is not None
    assert after > before


def test_a_holder_that_froze_loses_the_lease_by_its_own_clock(first: Lease, clock: Clock) -> None:
    assert first.hold() is not None
    clock.now += TTL - 0.1
    assert first.fencing is not None
    clock.now += 0.2
    assert first.fencing is None


def test_another_process_cannot_release_it(first: Lease, second: Lease, client: redis_client.Redis) -> None:
    first.hold()
    second.release()
    assert client.exists(keys.lease("poller"))
    assert first.hold() is not None


def test_the_lease_expires_in_redis_too(first: Lease, client: redis_client.Redis) -> None:
    first.hold()
    assert 0 < client.pttl(keys.lease("poller")) <= TTL * 1000


def test_without_postgresql_the_lease_is_neither_taken_nor_blocked(
    client: redis_client.Redis, own_postgresql: PostgreSQL
) -> None:
    database = Database(own_postgresql.url(), application_name="test")
    database.open()
    lease = Lease("poller", client, database, ttl=TTL)
    own_postgresql.stop()
    with pytest.raises(StorageUnavailableError, match="PostgreSQL"):
        lease.hold()
    database.close()
    assert lease.fencing is None
    assert not client.exists(keys.lease("poller"))


@pytest.fixture
def holder(database_url: str, redis_url: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, database_url, redis_url, str(SHORT_TTL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_another_process_takes_the_lease_of_a_killed_holder(
    holder: "subprocess.Popen[str]", client: redis_client.Redis, database: Database
) -> None:
    assert holder.stdout is not None
    theirs = int(holder.stdout.readline())
    ours = Lease("poller", client, database, ttl=SHORT_TTL)
    # While it renews, it keeps the lease for longer than one time to live.
    renewed_until = time.monotonic() + SHORT_TTL * 1.25
    while time.monotonic() < renewed_until:
        assert ours.hold() is None
        assert int(holder.stdout.readline()) == theirs
    holder.kill()
    deadline = time.monotonic() + 30
    while (taken := ours.hold()) is None:
        assert time.monotonic() < deadline, "the lease was not taken"
        time.sleep(0.05)
    assert taken > theirs
