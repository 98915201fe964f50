"""The objects that all requests of a process share: made once, opened after the fork."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

from flask import Flask, current_app

from balancer.core.creation import Creation
from balancer.core.tenants import Tenant
from balancer.nodes.client import NodeClient
from balancer.nodes.live_listings import LiveListings
from balancer.registry_copy import RegistryCopy
from balancer.settings import Settings
from balancer.storage.announcer import Announcer
from balancer.storage.meeting_ends import MeetingEnds
from balancer.storage.meeting_store import DatabaseMeetingStore
from balancer.storage.outlook import OutlookCache
from balancer.storage.postgresql.database import Database
from balancer.storage.postgresql.recording_counts import RecordingCounts
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.poll_requests import PollRequests
from balancer.storage.redis.snapshots import Snapshots
from balancer.storage.redis.whereabouts import Whereabouts
from balancer.storage.running_meetings import RunningMeetings

EXTENSION = "balancer"
#: Seconds that a request waits for a PostgreSQL that hangs: longer than any statement may take (statement_timeout).
_TIME_LIMIT = 12.0


@dataclass(frozen=True, kw_only=True)
class Services:
    """One process's stores, nodes and settings. Threads share them."""

    settings: Settings
    database: Database
    redis: redis_client.Redis
    registry: RegistryCopy
    placements: Whereabouts
    snapshots: Snapshots
    recent: OutlookCache  #: for placement
    polls: PollRequests
    meetings: RunningMeetings
    ends: MeetingEnds
    nodes: NodeClient
    live: LiveListings
    creation: Creation
    recording_counts: RecordingCounts

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Nothing connects before ``open``."""
        database = Database(
            settings.database_url,
            application_name="bbb-fleet web",
            # So that at most half of the threads wait for a PostgreSQL that hangs, after the first seconds.
            size=max(1, min(settings.web_threads // 2, 16)),
            time_limit=_TIME_LIMIT,
        )
        redis = redis_client.connect(settings.redis_url)
        placements, snapshots = Whereabouts(redis), Snapshots(redis)
        recent = OutlookCache(settings, snapshots, database)
        polls = PollRequests(redis)
        meetings, announcer = RunningMeetings(database, placements), Announcer(placements, polls)
        store = DatabaseMeetingStore(settings, database, recent, meetings, announcer)
        nodes = NodeClient(settings)
        return cls(
            settings=settings,
            database=database,
            redis=redis,
            registry=RegistryCopy(settings, database, redis),
            placements=placements,
            snapshots=snapshots,
            recent=recent,
            polls=polls,
            meetings=meetings,
            ends=MeetingEnds(database, meetings, announcer),
            nodes=nodes,
            live=LiveListings(settings, nodes),
            creation=Creation(store=store, nodes=nodes, move_after=settings.move_after),
            recording_counts=RecordingCounts(),
        )

    def open(self) -> None:
        """Connect in the background, since both stores may be away. Called once in each process, after its fork."""
        self.registry.read_file()
        self.database.open()
        self.registry.follow()

    def close(self) -> None:
        self.registry.close()
        self.live.close()
        self.nodes.close()
        self.database.close()
        self.redis.close()

    def tenants(self) -> Sequence[Tenant]:
        return self.registry.tenants()


def of(app: Flask) -> Services:
    """The services of an app."""
    return cast(Services, app.extensions[EXTENSION])


def services() -> Services:
    """The services of the app that handles this request."""
    return of(current_app)
