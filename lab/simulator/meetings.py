"""Meetings and users in a node's memory."""

import hashlib
import random
import secrets
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

TEST_VOICE_BRIDGE = "99999"
_TEST_CONFERENCE = "conference-mock-default"
_ALPHANUMERIC = string.ascii_lowercase + string.digits


def token(length: int) -> str:
    """Return random letters and digits."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def external_hash(meeting_id: str) -> str:
    """Return the first part of an internal meeting id (reference 3.2.4)."""
    return hashlib.sha1(meeting_id.encode(), usedforsecurity=False).hexdigest()


class Presence(Enum):
    """The stages of a user's presence."""

    #: join was called, but the client page has not connected.
    REGISTERED = "registered"
    #: The client page waits for a moderator.
    WAITING = "waiting"
    ONLINE = "online"
    #: The user has left, but 3.0 still lists it for a moment.
    LEFT = "left"


@dataclass(slots=True)
class User:
    """One participant; `external_id` is what the API shows as userID."""

    name: str
    role: str
    external_id: str = ""
    internal_id: str = field(default_factory=lambda: "w_" + token(12))
    auth_token: str = field(default_factory=lambda: token(12))
    session_token: str = field(default_factory=lambda: token(16))
    #: The JSESSIONID that the browser was given.
    cookie: str = field(default_factory=lambda: token(32).upper())
    presence: Presence = Presence.REGISTERED
    guest: bool = False
    #: ALLOW, WAIT or DENY.
    guest_status: str = "ALLOW"
    presenter: bool = False
    listening_only: bool = False
    voice: bool = False
    video: bool = False
    custom: dict[str, str] = field(default_factory=dict)
    #: Monotonic time of the last change of presence.
    since: float = 0.0

    def __post_init__(self) -> None:
        self.external_id = self.external_id or self.internal_id


@dataclass(slots=True)
class Meeting:
    """One meeting. BBB's times are in ms, timers in seconds of the monotonic clock."""

    meeting_id: str
    name: str
    internal_id: str
    create_time: int
    attendee_password: str
    moderator_password: str
    voice_bridge: str
    dial_number: str
    created: float
    #: A second number of the conference; usually the voice bridge.
    web_voice: str = ""
    duration: int = 0
    max_users: int = 0
    record: bool = False
    auto_start_recording: bool = False
    allow_start_stop_recording: bool = True
    guest_policy: str = "ALWAYS_ACCEPT"
    expire_without_user: int = 5
    expire_after_last: int = 1
    end_without_moderator: bool = False
    end_without_moderator_delay: int = 1
    keep_events: bool = False
    ended_url: str = ""
    disabled_features: tuple[str, ...] = ()
    logout_url: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    is_breakout: bool = False
    #: Internal id of the parent; for ordinary meetings BBB's literal.
    parent_id: str = "bbb-none"
    sequence: int = 0
    free_join: bool = False
    start_time: int = 0
    end_time: int = 0
    has_user_joined: bool = False
    #: Whether recording is on now.
    recording_on: bool = False
    #: (ms, whether on) for each press of the record button.
    record_marks: list[tuple[int, bool]] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    #: (ms, user) for each entry, for the archive.
    arrivals: list[tuple[int, User]] = field(default_factory=list)
    chat: list[tuple[int, str, str]] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    #: Monotonic time when the room became empty; None while users are in it and before the first one.
    empty_since: float | None = None
    without_moderator_since: float | None = None
    ending: bool = False

    def online(self) -> list[User]:
        """Return the users in the meeting."""
        return [user for user in self.users.values() if user.presence is Presence.ONLINE]

    def listed(self) -> list[User]:
        """Return the users in the meeting and those that have just left."""
        seen = (Presence.ONLINE, Presence.LEFT)
        return [user for user in self.users.values() if user.presence in seen]


class MeetingTable:
    """The meetings of one node, by external and internal id."""

    def __init__(self) -> None:
        self._by_internal: dict[str, Meeting] = {}
        self._by_external: dict[str, Meeting] = {}
        self._bridges: dict[str, Meeting] = {}
        self._rooms: dict[str, list[Meeting]] = {}
        self._random = random.Random()

    def __len__(self) -> int:
        return len(self._by_internal)

    def __iter__(self) -> Iterator[Meeting]:
        return iter(list(self._by_internal.values()))

    def find(self, meeting_id: str) -> Meeting | None:
        """Find by external id, else by internal id."""
        return self.with_external_id(meeting_id) or self._by_internal.get(meeting_id)

    def with_external_id(self, meeting_id: str) -> Meeting | None:
        """Return the meeting with a front end's meetingID."""
        return self._by_external.get(meeting_id)

    def with_bridge(self, voice_bridge: str) -> Meeting | None:
        """Return the meeting that uses a voice bridge."""
        return self._bridges.get(voice_bridge)

    def children(self, meeting: Meeting) -> list[Meeting]:
        """Return the breakout rooms of a meeting."""
        return list(self._rooms.get(meeting.internal_id, ()))

    def free_bridge(self) -> str:
        """Pick a random bridge of five digits; if ten in a row are taken, BBB uses the tenth."""
        candidate = ""
        for _ in range(10):
            candidate = str(self._random.randrange(10_000, 100_000))
            if candidate != TEST_VOICE_BRIDGE and candidate not in self._bridges:
                break
        return candidate

    def internal_id(self, meeting_id: str, create_time: int, voice_bridge: str) -> str:
        """Derive the internal id; with the test bridge it is one that no lookup finds (see #1120)."""
        test = voice_bridge == TEST_VOICE_BRIDGE
        prefix = _TEST_CONFERENCE if test else external_hash(meeting_id)
        return f"{prefix}-{create_time}"

    def add(self, meeting: Meeting) -> None:
        """Add a meeting."""
        self._by_internal[meeting.internal_id] = meeting
        for bridge in (meeting.voice_bridge, meeting.web_voice):
            self._bridges[bridge] = meeting
        if meeting.is_breakout:
            self._rooms.setdefault(meeting.parent_id, []).append(meeting)
        if not meeting.internal_id.startswith(_TEST_CONFERENCE):
            self._by_external[meeting.meeting_id] = meeting

    def remove(self, meeting: Meeting) -> bool:
        """Remove a meeting; False if it was removed before."""
        if self._by_internal.pop(meeting.internal_id, None) is None:
            return False
        self._by_external.pop(meeting.meeting_id, None)
        for bridge in (meeting.voice_bridge, meeting.web_voice):
            self._bridges.pop(bridge, None)
        self._rooms.pop(meeting.internal_id, None)
        if meeting.is_breakout and meeting in (rooms := self._rooms.get(meeting.parent_id, [])):
            rooms.remove(meeting)
        return True

    def clear(self) -> Iterable[Meeting]:
        """Remove all meetings and return them."""
        forgotten = list(self)
        for meeting in forgotten:
            self.remove(meeting)
        return forgotten
