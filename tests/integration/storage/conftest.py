"""Connections to the real stores of this test."""

from pathlib import Path

import pytest

from balancer.settings import Settings
from balancer.storage.announcer import Announcer
from balancer.storage.meeting_store import DatabaseMeetingStore
from balancer.storage.outlook import OutlookCache
from balancer.storage.postgresql.database import Database
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Whereabouts
from balancer.storage.running_meetings import RunningMeetings
from tests.integration.settings import settings_for


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, redis_url, tmp_path)


def meeting_store(settings: Settings, database: Database, client: redis_client.Redis) -> DatabaseMeetingStore:
    """The store of a web process."""
    whereabouts = Whereabouts(client)
    return DatabaseMeetingStore(
        settings,
        database,
        OutlookCache(settings, Snapshots(client), database),
        RunningMeetings(database, whereabouts),
        Announcer(whereabouts, PollRequests(client)),
    )
