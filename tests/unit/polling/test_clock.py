"""PostgreSQL's time for the poller: shared answers, and estimates while it is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from balancer.errors import StorageUnavailableError
from balancer.polling.clock import LIFE, PAUSE, ClusterClock, Moment

EIGHT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class PostgreSQL:
    """Answers once ``answers`` is set, unless it is away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self) -> datetime:
        self.asked += 1
        await self.answers.wait()
        if self.away:
            raise StorageUnavailableError("PostgreSQL: away")
        return EIGHT


async def test_its_answer_is_exact() -> None:
    assert await ClusterClock(PostgreSQL()).now() == Moment(EIGHT, exact=True)


async def test_an_answer_is_used_again_for_a_moment_and_estimates_from_it_are_never_late() -> None:
    server, now = PostgreSQL(), 0.0
    clock = ClusterClock(server, lambda: now)
    await clock.now()
    now = LIFE / 2
    moment = await clock.now()
    assert moment.exact
    assert EIGHT <= moment.at < EIGHT + timedelta(seconds=LIFE / 2)
    assert server.asked == 1


async def test_an_old_answer_is_not_used_again() -> None:
    server, now = PostgreSQL(), 0.0
    clock = ClusterClock(server, lambda: now)
    await clock.now()
    now = LIFE
    assert await clock.now() == Moment(EIGHT, exact=True)
    assert server.asked == 2


async def test_calls_at_the_same_time_share_one_answer() -> None:
    server = PostgreSQL()
    server.answers.clear()
    clock = ClusterClock(server)
    asking = [asyncio.create_task(clock.now()) for _ in range(20)]
    await asyncio.sleep(0)
    server.answers.set()
    assert {moment.at for moment in await asyncio.gather(*asking)} == {EIGHT}
    assert server.asked == 1


async def test_a_call_that_is_cancelled_does_not_cancel_the_query_of_others() -> None:
    server = PostgreSQL()
    server.answers.clear()
    clock = ClusterClock(server)
    first, second = asyncio.create_task(clock.now()), asyncio.create_task(clock.now())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    server.answers.set()
    assert (await second).exact


async def test_if_it_was_never_there_the_time_is_an_error() -> None:
    server = PostgreSQL()
    server.away = True
    with pytest.raises(StorageUnavailableError):
        await ClusterClock(server).now()


async def test_if_it_goes_away_the_time_is_an_estimate_and_marked_as_such() -> None:
    server, now = PostgreSQL(), 0.0
    clock = ClusterClock(server, lambda: now)
    await clock.now()
    server.away, now = True, LIFE
    moment = await clock.now()
    assert not moment.exact
    assert EIGHT <= moment.at < EIGHT + timedelta(seconds=30)
    # No poll waits for PostgreSQL again before the pause is over.
    now += PAUSE / 2
    asked = server.asked
    later = await clock.now()
    assert server.asked == asked
    assert not later.exact
    assert later.at >= moment.at
    now += PAUSE
    server.away = False
    assert await clock.now() == Moment(EIGHT, exact=True)
