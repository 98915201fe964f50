"""The life of meetings on a node: begin, users entering and leaving, expiry, end (reference 4)."""

import asyncio
import time
from collections.abc import Callable

from lab.simulator.clock import Clock
from lab.simulator.meetings import Meeting, MeetingTable, Presence, User
from lab.simulator.settings import NodeSettings

Listener = Callable[[str, Meeting, User | None], None]

#: Checks of the expiry timers in a (shortened) minute.
_CHECKS_A_MINUTE = 12


class Life:
    """Moves meetings and users through their states and notifies listeners."""

    def __init__(self, settings: Callable[[], NodeSettings], clock: Clock, meetings: MeetingTable) -> None:
        self._settings = settings
        self._clock = clock
        self._meetings = meetings
        self._timers: set[asyncio.TimerHandle] = set()
        #: Called with (event, meeting, user). Events: created, joined, changed, recording-started,
        #: recording-stopped, left, ejected, ended.
        self.listeners: list[Listener] = []

    @staticmethod
    def now() -> float:
        """Return the monotonic time that all timers use."""
        return time.monotonic()

    def begin(self, meeting: Meeting) -> None:
        """Add a new meeting; its startTime is set a moment later."""
        self._meetings.add(meeting)
        self._later(self._settings().start_delay, lambda: self._started(meeting))
        self._notify("created", meeting)

    def enter(self, meeting: Meeting, user: User) -> bool:
        """Let a registered user in; False if the meeting is full (reference 4)."""
        others = {other.external_id for other in meeting.online()} - {user.external_id}
        if meeting.max_users and len(others) >= meeting.max_users:
            return False
        moment = self._clock.milliseconds()
        user.presence, user.since = Presence.ONLINE, self.now()
        meeting.users[user.internal_id] = user
        meeting.arrivals.append((moment, user))
        meeting.has_user_joined, meeting.empty_since, meeting.end_time = True, None, 0
        self._choose_presenter(meeting)
        if meeting.auto_start_recording and not meeting.record_marks:
            self.mark(meeting, on=True)
        self._notify("joined", meeting, user)
        return True

    def leave(self, meeting: Meeting, user: User) -> None:
        """Remove a user at once or, in 3.0, after some seconds in the list of users."""
        if user.presence is not Presence.ONLINE:
            meeting.users.pop(user.internal_id, None)
            return
        user.presence, user.since, user.presenter = Presence.LEFT, self.now(), False
        user.voice = user.video = user.listening_only = False
        if not self._settings().profile.keeps_left_users:
            meeting.users.pop(user.internal_id, None)
        if not meeting.online():
            meeting.empty_since, meeting.end_time = self.now(), self._clock.milliseconds()
        self._choose_presenter(meeting)
        self._notify("left", meeting, user)

    def eject(self, meeting: Meeting, user: User) -> None:
        """Remove a user who is replaced by another session of the same person."""
        self._notify("ejected", meeting, user)
        self.leave(meeting, user)

    def mark(self, meeting: Meeting, *, on: bool) -> bool:
        """Press the record button; False if the meeting cannot be recorded or already is in that state."""
        if not meeting.record or meeting.recording_on is on:
            return False
        meeting.recording_on = on
        meeting.record_marks.append((self._clock.milliseconds(), on))
        self._notify("recording-started" if on else "recording-stopped", meeting)
        return True

    def changed(self, meeting: Meeting, user: User | None = None) -> None:
        """Notify listeners of a change that client pages show."""
        self._notify("changed", meeting, user)

    def end_soon(self, meeting: Meeting) -> None:
        """End a meeting and its breakouts after the node's delay."""
        if not meeting.ending:
            meeting.ending = True
            self._later(self._settings().end_delay, lambda: self.finish(meeting))

    def finish(self, meeting: Meeting) -> None:
        """End a meeting now, its breakouts first."""
        for room in self._meetings.children(meeting):
            self.finish(room)
        if self._meetings.remove(meeting):
            meeting.end_time = self._clock.milliseconds()
            self._notify("ended", meeting)

    def forget(self) -> None:
        """Lose all meetings without notice to listeners, as in a restart of bbb-web."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._meetings.clear()

    async def watch(self) -> None:
        """Check the timers until cancelled."""
        while True:
            await asyncio.sleep(self._settings().minute / _CHECKS_A_MINUTE)
            self.check_timers()

    def check_timers(self) -> None:
        """Purge users and end meetings whose time has come."""
        for meeting in self._meetings:
            self._purge_users(meeting)
            if self._expired(meeting):
                self.finish(meeting)

    def _purge_users(self, meeting: Meeting) -> None:
        limits = {
            Presence.REGISTERED: self._settings().users_timeout,
            Presence.LEFT: self._settings().left_users_linger,
        }
        for user in list(meeting.users.values()):
            limit = limits.get(user.presence)
            if limit is not None and self.now() - user.since > limit:
                del meeting.users[user.internal_id]

    def _expired(self, meeting: Meeting) -> bool:
        minute, now = self._settings().minute, self.now()
        if meeting.duration and now - meeting.created > meeting.duration * minute:
            return True
        if not meeting.has_user_joined:
            return bool(meeting.expire_without_user) and (now - meeting.created > meeting.expire_without_user * minute)
        if meeting.empty_since is not None:
            return now - meeting.empty_since > meeting.expire_after_last * minute
        return self._unmoderated(meeting, now, minute)

    def _unmoderated(self, meeting: Meeting, now: float, minute: float) -> bool:
        if not meeting.end_without_moderator or any(user.role == "MODERATOR" for user in meeting.online()):
            meeting.without_moderator_since = None
            return False
        if meeting.without_moderator_since is None:
            meeting.without_moderator_since = now
        return now - meeting.without_moderator_since > meeting.end_without_moderator_delay * minute

    def _choose_presenter(self, meeting: Meeting) -> None:
        online = meeting.online()
        current = next((user for user in online if user.presenter), None)
        first = next((user for user in online if user.role == "MODERATOR"), None)
        if current is not None and (current.role == "MODERATOR" or first is None):
            return
        for user in online:
            user.presenter = user is (first or online[0])

    def _started(self, meeting: Meeting) -> None:
        meeting.start_time = max(self._clock.milliseconds(), meeting.create_time + 1)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)

    def _notify(self, event: str, meeting: Meeting, user: User | None = None) -> None:
        for listener in self.listeners:
            listener(event, meeting, user)
