"""PostgreSQL's time for the poller: shared answers, and reckoning while it is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from balancer.errors import StorageUnavailableError
from balancer.polling.clock import LIFE, PAUSE, ClusterClock, Moment

EIGHT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class PostgreSQL:
    """Tells the time when it is let, or is away."""

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


async def test_an_answer_serves_for_a_moment_and_what_is_reckoned_from_it_is_never_late() -> None:
    server, now = PostgreSQL(), 0.0
    clock = ClusterClock(server, lambda: now)
    await clock.now()
    now = LIFE / 2
    moment = await clock.now()
    assert moment.exact
    assert EIGHT <= moment.at < EIGHT + timedelta(seconds=LIFE / 2)
    assert server.asked == 1


async def test_an_old_answer_is_asked_anew() -> None:
    server, now = PostgreSQL(), 0.0
    clock = ClusterClock(server, lambda: now)
    await clock.now()
    now = LIFE
    assert await clock.now() == Moment(EIGHT, exact=True)
    assert server.asked == 2


async def test_many_at_once_share_one_answer() -> None:
    server = PostgreSQL()
    server.answers.clear()
    clock = ClusterClock(server)
    asking = [asyncio.create_task(clock.now()) for _ in range(20)]
    await asyncio.sleep(0)
    server.answers.set()
    assert {moment.at for moment in await asyncio.gather(*asking)} == {EIGHT}
    assert server.asked == 1


async def test_one_that_gives_up_does_not_take_the_answer_from_the_others() -> None:
    server = PostgreSQL()
    server.answers.clear()
    clock = ClusterClock(server)
    first, second = asyncio.create_task(clock.now()), asyncio.create_task(clock.now())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    server.answers.set()
    assert (await second).exact


async def test_away_from_the_start_there_is_no_time() -> None:
    server = PostgreSQL()
    server.away = True
    with pytest.raises(StorageUnavailableError):
        await ClusterClock(server).now()


async def test_away_later_it_is_reckoned_and_said_to_be() -> None:
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
